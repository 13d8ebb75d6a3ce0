/** The cases of tests/conformance in headless Chromium: SCRIPT OBSERVED. */

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { withPage } from "./chromium.js";
import type { Script } from "./runner.js";

const [scriptPath = "", observedPath = ""] = process.argv.slice(2);
const script = JSON.parse(readFileSync(scriptPath, "utf8")) as Script;
const observed = await withPage(fileURLToPath(new URL("page.js", import.meta.url)), async (page) => {
  await page.waitForFunction("globalThis.run !== undefined");
  return page.evaluate(async (own) => JSON.stringify(await globalThis.run(own)), script);
});
writeFileSync(observedPath, observed);
