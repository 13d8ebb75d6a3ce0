import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { expect, test } from "vitest";

/** What the browser reads before the page asks its first question. */
const MOST_BYTES = 250_000;

const asset = (name: string) => readFileSync(fileURLToPath(new URL(`../dist/assets/${name}`, import.meta.url)), "utf8");

/** Returns the files that one imports at once, itself among them. */
function imported(name: string, found = new Set<string>()): Set<string> {
  if (found.has(name)) return found;
  found.add(name);
  for (const [, other = ""] of asset(name).matchAll(/(?:from|import)\s*"\.\/([\w.-]+)"/g)) imported(other, found);
  return found;
}

test("the first question waits for no more than 250 kB of scripts", () => {
  const files = [...imported("page.js")];
  const bytes = files.map((name) => asset(name).length).reduce((a, b) => a + b, 0);
  expect(files).not.toContain("tables.js");
  expect(bytes, files.join(", ")).toBeLessThan(MOST_BYTES);
});
