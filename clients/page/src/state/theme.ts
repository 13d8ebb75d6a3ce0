/** Holds whether the page is light or dark: as the system says, unless the switch says otherwise. */

import { effect, signal } from "@preact/signals";

const KEY = "scotoma.theme";
const dark = matchMedia("(prefers-color-scheme: dark)");
const system = () => (dark.matches ? "dark" : "light");

function kept(): "light" | "dark" | undefined {
  const value = localStorage.getItem(KEY);
  return value === "light" || value === "dark" ? value : undefined;
}

/** What is shown. */
export const theme = signal<"light" | "dark">(kept() ?? system());

dark.addEventListener("change", () => {
  if (kept() === undefined) theme.value = system();
});

effect(() => {
  document.documentElement.dataset["theme"] = theme.value;
});

/** Changes to the other one, for good. */
export function toggleTheme(): void {
  theme.value = theme.value === "dark" ? "light" : "dark";
  localStorage.setItem(KEY, theme.value);
}
