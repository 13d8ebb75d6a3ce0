/** Holds what stands in the address after `#`: `#/ask?question=...`. */

import { computed, signal } from "@preact/signals";

function parse(hash: string): { path: string; params: URLSearchParams } {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  return { path, params: new URLSearchParams(query) };
}

const hash = signal(location.hash);
addEventListener("hashchange", () => (hash.value = location.hash));

/** The view that the address names, and what it says to it. */
export const route = computed(() => parse(hash.value));

/** Shows another view. */
export function go(path: string, params?: URLSearchParams): void {
  location.hash = `/${path}${params === undefined ? "" : `?${params}`}`;
}
