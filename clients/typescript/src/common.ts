/** What both entries have. */
export { Code } from "@connectrpc/connect";

export {
  Client,
  type EvaluateOptions,
  image,
  type Message,
  messages,
  prompt,
  type Question,
  type Results,
} from "./client.js";
export { type CallOptions, type Settings } from "./call.js";
export { type FieldViolation, ScotomaError } from "./errors.js";
export * from "./interventions.js";
export {
  type Point,
  selector,
  Selector,
  steps,
  type StepsLike,
  target,
  tokens,
  type TokensLike,
  type Where,
} from "./selectors.js";
export { type Activation, Answer, Attribution, Capture, Evaluation, Sweep, Trace } from "./stream.js";
