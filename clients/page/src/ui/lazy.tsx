/** Loads what is shown when it is first shown. */

import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";

import { Notice } from "./notice";

/** Returns a component whose code comes from a file of its own. */
export function lazy<Props extends object>(load: () => Promise<ComponentType<Props>>): ComponentType<Props> {
  let loaded: ComponentType<Props> | undefined;
  return function Lazy(props: Props) {
    const [Shown, show] = useState<ComponentType<Props> | undefined>(() => loaded);
    const [wrong, setWrong] = useState("");
    useEffect(() => {
      if (loaded !== undefined) return;
      load().then(
        (component) => {
          loaded = component;
          show(() => component);
        },
        (error: unknown) => setWrong(error instanceof Error ? error.message : String(error)),
      );
    }, []);
    if (wrong !== "") return <Notice kind="error">This part of the page did not load: {wrong}. Load the page again.</Notice>;
    return Shown === undefined ? <p class="faint">Loading…</p> : <Shown {...props} />;
  };
}
