/** Loads a view when it is first shown. */

import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";

import { Notice } from "./notice";

/** Returns a view whose code comes from a file of its own. */
export function lazy(load: () => Promise<ComponentType>): ComponentType {
  let loaded: ComponentType | undefined;
  return function Lazy() {
    const [View, setView] = useState<ComponentType | undefined>(() => loaded);
    const [wrong, setWrong] = useState("");
    useEffect(() => {
      if (loaded !== undefined) return;
      load().then(
        (view) => {
          loaded = view;
          setView(() => view);
        },
        (error: unknown) => setWrong(error instanceof Error ? error.message : String(error)),
      );
    }, []);
    if (wrong !== "") return <Notice kind="error">This part of the page did not load: {wrong}. Load the page again.</Notice>;
    return View === undefined ? <p class="faint">Loading…</p> : <View />;
  };
}
