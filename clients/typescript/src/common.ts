/** What both entries have. */
export { Code } from "@connectrpc/connect";

export {
  type CallOptions,
  Client,
  type EvaluateOptions,
  image,
  type Message,
  messages,
  prompt,
  type Question,
  type Results,
  type Settings,
} from "./client.js";
export { type FieldViolation, ScotomaError } from "./errors.js";
export * from "./interventions.js";
export { type Activation, Answer, Capture, Evaluation, Sweep } from "./stream.js";
