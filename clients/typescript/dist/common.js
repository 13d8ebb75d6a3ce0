/** What both entries have. */
export { Code } from "@connectrpc/connect";
export { Client, image, prompt, } from "./client.js";
export { ScotomaError } from "./errors.js";
export * from "./interventions.js";
export { Answer, Capture, Evaluation, Sweep } from "./stream.js";
