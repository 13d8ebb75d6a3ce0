/** Writes the question and its changes for the command line, and for OpenAI's API by curl. */

import { type JsonObject, toJson } from "@bufbuild/protobuf";
import { InterventionSchema, type Intervention } from "scotoma/v1";

import { type Carried, settingsOf } from "./python";

/** Settings that `scotoma generate` has flags for. */
const FLAGS = new Set([
  "model",
  "temperature",
  "top_k",
  "top_p",
  "min_p",
  "seed",
  "do_sample",
  "repetition_penalty",
  "no_repeat_ngram_size",
  "min_tokens",
  "ignore_generation_config",
  "max_tokens",
]);

/** Writes a text as one word of a POSIX shell. */
export function word(text: string): string {
  return /^[\w./:=,@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Interventions in canonical JSON. */
export function listOf(interventions: Intervention[]): JsonObject[] {
  return interventions.map((each) => toJson(InterventionSchema, each) as JsonObject);
}

/** Returns the command; with what it cannot say as a comment. */
export function asCommand({ address, keyed, file, request, interventions }: Carried): string {
  const settings = settingsOf(request);
  const flags = settings
    .filter(([name]) => FLAGS.has(name))
    .map(([name, text]) => `--${name.replaceAll("_", "-")}${text === "True" ? "" : ` ${word(text.startsWith('"') ? (JSON.parse(text) as string) : text)}`}`);
  const left = settings.filter(([name]) => !FLAGS.has(name)).map(([name]) => name);
  const asked = file === undefined ? "" : `${word(file)} `;
  const lines = [
    `scotoma generate ${asked}${word(request.prompt?.text ?? "")}`,
    `--server ${word(address)}`,
    ...flags,
    ...listOf(interventions).map((json) => `--intervene ${word(JSON.stringify(json))}`),
  ];
  const comments = [
    ...(keyed ? ["# The key is in SCOTOMA_API_KEY."] : []),
    ...(left.length > 0 ? [`# Without ${left.join(", ")}, which the command line has no flags for.`] : []),
  ];
  return `${[...comments, lines.join(" \\\n    ")].join("\n")}\n`;
}

/** Returns the list as it stands in files, presets, variants, and `extra_body`. */
export function asJson({ interventions }: Carried): string {
  return `${JSON.stringify(listOf(interventions), null, 2)}\n`;
}

/** Settings that OpenAI's API has under these names. */
const SHARED = new Set(["temperature", "top_p", "seed", "max_tokens", "stop"]);

/** Returns the call of OpenAI's API. */
export function asCurl({ address, keyed, file, request, interventions }: Carried): string {
  const settings = settingsOf(request);
  const shared = settings.filter(([name]) => SHARED.has(name)).map(([name, text]) => [name, JSON.parse(text) as unknown]);
  const left = settings.filter(([name]) => !SHARED.has(name) && name !== "model").map(([name]) => name);
  const type = /\.jpe?g$/i.test(file ?? "") ? "jpeg" : /\.(webp|gif|bmp|tiff)$/i.exec(file ?? "")?.[1]?.toLowerCase() ?? "png";
  const text = { type: "text", text: request.prompt?.text ?? "" };
  const picture = { type: "image_url", image_url: { url: `data:image/${type};base64,@PICTURE@` } };
  const body = {
    model: request.model,
    messages: [{ role: "user", content: file === undefined ? [text] : [picture, text] }],
    ...Object.fromEntries(shared),
    interventions: listOf(interventions),
  };
  const key = keyed ? ' -H "Authorization: Bearer $SCOTOMA_API_KEY"' : "";
  const comment = left.length > 0 ? `# Without ${left.join(", ")}, which OpenAI's API does not have.\n` : "";
  return `${comment}curl ${address}/v1/chat/completions -H 'Content-Type: application/json'${key} -d @- <<END\n${heredoc(body, file)}\nEND\n`;
}

/** Writes the body for a here-document, in which the shell puts the picture. */
function heredoc(body: object, file: string | undefined): string {
  const json = JSON.stringify(body, null, 2).replace(/[\\$`]/g, "\\$&");
  return file === undefined ? json : json.replace("@PICTURE@", `$(base64 -w0 ${word(file)})`);
}
