/** Writes what is asked into an address, and reads it again. */

import { create, fromJson, fromJsonString, type JsonValue, toJson, toJsonString } from "@bufbuild/protobuf";
import { type Intervention, InterventionSchema, type Sampling, SamplingSchema } from "scotoma/v1";

/** What a link holds. */
export interface Linked {
  question: string;
  model: string;
  /** A sample of the page by its id, or a picture on the server by its handle; neither: the question has no picture. */
  sample: string;
  handle: string;
  /** What people call the picture. */
  name: string;
  changes: { on: boolean; intervention: Intervention }[];
  sampling: Sampling;
  maxTokens: number;
  stops: string[];
  sampleKey: string;
}

/** Servers, proxies and messengers cut what is much longer. */
export const LONGEST = 8000;
const MOST_CHANGES = 64;

/** Returns the part of the address after `?`. */
export function write(linked: Linked): URLSearchParams {
  const params = new URLSearchParams();
  const put = (name: string, value: string) => {
    if (value !== "") params.set(name, value);
  };
  put("q", linked.question);
  put("model", linked.model);
  put("sample", linked.sample);
  put("picture", linked.handle);
  put("name", linked.handle === "" ? "" : linked.name);
  const list = linked.changes.map(({ on, intervention }) => [toJson(InterventionSchema, intervention), on ? 1 : 0]);
  put("changes", list.length === 0 ? "" : JSON.stringify(list));
  const sampling = toJsonString(SamplingSchema, linked.sampling);
  put("sampling", sampling === "{}" ? "" : sampling);
  put("most", linked.maxTokens === 0 ? "" : String(linked.maxTokens));
  linked.stops.forEach((stop) => params.append("stop", stop));
  put("key", linked.sampleKey);
  return params;
}

/**
 * Reads an address, which anybody may have written: what is no link throws, with what is wrong. Nothing is done by a link but
 * what its reader could do on the page.
 */
export function read(params: URLSearchParams): Linked {
  if (params.toString().length > 4 * LONGEST) throw new Error("the link is too long");
  const text = (name: string) => params.get(name) ?? "";
  const handle = text("picture");
  if (handle !== "" && !/^[0-9a-f]{64}$/.test(handle)) throw new Error("the link names no picture that could be");
  const list = JSON.parse(text("changes") || "[]") as [JsonValue, number][];
  if (!Array.isArray(list) || list.length > MOST_CHANGES) throw new Error("the link has no list of changes");
  const most = Number(text("most"));
  return {
    question: text("q"),
    model: text("model"),
    sample: text("sample"),
    handle,
    name: text("name"),
    changes: list.map(([json, on]) => ({ on: on === 1, intervention: fromJson(InterventionSchema, json) })),
    sampling: text("sampling") === "" ? create(SamplingSchema) : fromJsonString(SamplingSchema, text("sampling")),
    maxTokens: Number.isInteger(most) && most > 0 ? most : 0,
    stops: params.getAll("stop"),
    sampleKey: text("key"),
  };
}
