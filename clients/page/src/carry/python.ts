/** Writes the question and its changes as a program for the Python client. */

import { type DescField, type DescMessage, type Message } from "@bufbuild/protobuf";
import type { GenerateRequest, Intervention, Sampling } from "scotoma/v1";
import { InterventionSchema, SamplingSchema } from "scotoma/v1";

type Any = Record<string, unknown>;

/** What a snippet is of. */
export interface Carried {
  /** `http://host:port`. */
  address: string;
  /** Whether the server wants a key. */
  keyed: boolean;
  /** The file of the picture; undefined where there is none. */
  file: string | undefined;
  request: GenerateRequest;
  interventions: Intervention[];
}

/** Writes a text as Python and JSON both read it. */
function quoted(text: string): string {
  return JSON.stringify(text);
}

/** Writes bytes as base64, as canonical JSON does. */
export function base64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}

/** Writes one value of a field. */
function literal(field: DescField, value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((each) => literal(field, each)).join(", ")}]`;
  if (field.message !== undefined && field.fieldKind !== "map") return `{${fieldsOf(field.message, value as Message).map(([name, text]) => `${quoted(name)}: ${text}`).join(", ")}}`;
  if (field.enum !== undefined && field.fieldKind !== "map") {
    const named = field.enum.values.find(({ number }) => number === value);
    return named === undefined ? String(value) : quoted(named.name);
  }
  if (field.fieldKind === "map") return `{${Object.entries(value as Any).map(([key, each]) => `${key}: ${String(each)}`).join(", ")}}`;
  if (typeof value === "boolean") return value ? "True" : "False";
  if (value instanceof Uint8Array) return quoted(base64(value));
  return typeof value === "string" ? quoted(value) : String(value);
}

/** Whether a field says something that its absence does not. */
function isSet(field: DescField, value: unknown): boolean {
  if (value === undefined) return false;
  if (field.fieldKind === "list") return (value as unknown[]).length > 0;
  if (field.fieldKind === "map") return Object.keys(value as Any).length > 0;
  if (field.fieldKind === "message" || field.presence === 1) return true;
  return value !== 0 && value !== 0n && value !== false && value !== "" && !(value instanceof Uint8Array && value.length === 0);
}

/** Returns the fields of a message that are set, by the contract's names. */
export function fieldsOf(desc: DescMessage, message: Message): [string, string][] {
  const own = message as unknown as Any;
  return desc.fields.flatMap((field): [string, string][] => {
    const chosen = field.oneof === undefined ? undefined : (own[field.oneof.localName] as { case?: string; value?: unknown });
    if (field.oneof !== undefined) return chosen?.case === field.localName ? [[field.name, literal(field, chosen.value)]] : [];
    const value = own[field.localName];
    return isSet(field, value) ? [[field.name, literal(field, value)]] : [];
  });
}

/** Words that cannot be the name of an argument; `from` is a field of KnockOutAttention. */
const KEYWORDS = new Set("and as assert async await break class continue def del elif else except finally for from global if import in is lambda nonlocal not or pass raise return try while with yield".split(" "));

/** Writes an intervention as a call of the client. */
function call(intervention: Intervention): string {
  const { kind } = intervention;
  const field = InterventionSchema.fields.find(({ localName }) => localName === kind.case);
  if (field?.fieldKind !== "message") return "";
  const fields = fieldsOf(field.message, kind.value as Message).map(([name, text]) =>
    KEYWORDS.has(name) ? `, **{${quoted(name)}: ${text}}` : `, ${name}=${text}`,
  );
  return `intervention(${quoted(field.name)}${fields.join("")})`;
}

/** Returns the settings of an answer that say something, by the contract's names. */
export function settingsOf({ sampling, maxTokens, stop, sampleKey, model }: GenerateRequest): [string, string][] {
  const settings: [string, string][] = sampling === undefined ? [] : fieldsOf(SamplingSchema, sampling as Sampling);
  if (maxTokens > 0) settings.push(["max_tokens", String(maxTokens)]);
  if (stop.length > 0) settings.push(["stop", `[${stop.map(quoted).join(", ")}]`]);
  if (sampleKey !== "") settings.push(["sample_key", quoted(sampleKey)]);
  if (model !== "") settings.unshift(["model", quoted(model)]);
  return settings;
}

/** Returns the program. */
export function asPython({ address, keyed, file, request, interventions }: Carried): string {
  const names = interventions.length > 0 ? "Client, intervention" : "Client";
  const picture = file === undefined ? "" : `, ${quoted(file)}`;
  const settings = settingsOf(request).map(([name, text]) => `        ${name}=${text},`);
  const list = interventions.map((each) => `            ${call(each)},`);
  return [
    ...(keyed ? ["import os", ""] : []),
    `from scotoma import ${names}`,
    "",
    `with Client(${quoted(address)}${keyed ? ', api_key=os.environ["SCOTOMA_API_KEY"]' : ""}) as client:`,
    "    answer = client.generate(",
    `        ${quoted(request.prompt?.text ?? "")}${picture},`,
    ...(list.length > 0 ? ["        interventions=[", ...list, "        ],"] : []),
    ...settings,
    "    )",
    "    for token in answer:",
    '        print(token.text, end="", flush=True)',
    "    print()",
    "",
  ].join("\n");
}
