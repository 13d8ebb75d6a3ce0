/** Frames the views: the head with tabs, the state of the server, and the key. */

import { useEffect } from "preact/hooks";

import { route } from "./route";
import { apiKey, lock, standing } from "./state/server";
import { theme, toggleTheme } from "./state/theme";
import { KeyForm } from "./ui/key";
import { Notice } from "./ui/notice";
import { views } from "./views";

export function App() {
  const shown = views.find(({ path }) => path === route.value.path) ?? views[0];
  const title = shown?.title ?? "";
  useEffect(() => {
    document.title = `${title} · Scotoma`;
  }, [title]);
  if (shown === undefined) return null;
  const Shown = shown.view;
  return (
    <>
      <a class="skip" href="#main" onClick={toMain}>
        Skip to the content
      </a>
      <header class="head">
        <a class="brand" href="#/ask">
          <img src="./assets/icon.svg" alt="" width="28" height="28" />
          <span>Scotoma</span>
        </a>
        <nav class="tabs" aria-label="Views">
          {views.map(({ path, name }) => (
            <a key={path} href={`#/${path}`} aria-current={path === shown.path ? "page" : undefined}>
              {name}
            </a>
          ))}
        </nav>
        <div class="head-end">
          {apiKey.value !== "" && standing.value.is === "ready" && (
            <button type="button" class="quiet" onClick={() => void lock()}>
              Forget key
            </button>
          )}
          <ThemeSwitch />
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        <h1 class={shown.path === "ask" ? "unseen" : ""}>{shown.title}</h1>
        <Standing />
        {standing.value.is === "locked" ? <KeyForm why={standing.value.why} /> : <Shown />}
      </main>
    </>
  );
}

/** Moves the focus; the address belongs to the views. */
function toMain(event: Event): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

function ThemeSwitch() {
  const dark = theme.value === "dark";
  return (
    <button type="button" class="quiet icon" aria-pressed={dark} aria-label="Dark" title={dark ? "Light" : "Dark"} onClick={toggleTheme}>
      <svg viewBox="0 0 24 24" width="20" height="20" aria-hidden="true">
        {dark ? (
          <path d="M12 7a5 5 0 1 0 0 10 5 5 0 0 0 0-10Zm0-5v3m0 14v3M2 12h3m14 0h3M5 5l2 2m10 10 2 2M5 19l2-2M17 7l2-2" />
        ) : (
          <path d="M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5Z" />
        )}
      </svg>
    </button>
  );
}

/** Says that the server does not answer, for as long as it does not. */
function Standing() {
  if (standing.value.is !== "away") return null;
  return (
    <Notice kind="warning" title="The server does not answer">
      {standing.value.why}. Trying again until it is back; what is on this page stays.
    </Notice>
  );
}
