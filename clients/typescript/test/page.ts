/** What the page of browser.ts runs. */

import { connect } from "../src/web.js";
import { Runner, type Script } from "./runner.js";

declare global {
  var run: (script: Script) => Promise<unknown>;
}

globalThis.run = (script) => new Runner(script, connect).all();
