/** The cases of tests/conformance in Node: SCRIPT OBSERVED. */

import { readFileSync, writeFileSync } from "node:fs";

import { connect, readResults, resultsFile, rows } from "../src/node.js";
import { Runner, type Script } from "./runner.js";

const [scriptPath = "", observedPath = ""] = process.argv.slice(2);
const script = JSON.parse(readFileSync(scriptPath, "utf8")) as Script;
const read = (path: string) => readFileSync(path, "utf8");
const runner = new Runner(script, connect, { rows, resultsFile, readResults, read });
writeFileSync(observedPath, JSON.stringify(await runner.all()));
