/** Edits the list of changes. */

import { create, fromJson, type JsonObject, toJson } from "@bufbuild/protobuf";
import { type Intervention, InterventionSchema } from "scotoma/v1";

import { started } from "../forms/start";
import { starts } from "./starts";
import { type Change, changed, changes } from "./question";

/** The kinds of interventions, in the order of the contract. */
export const kinds = InterventionSchema.oneofs.find(({ name }) => name === "kind")?.fields ?? [];

/** Adds a change of a kind, with values that do something. */
export function add(kind: string): Change | undefined {
  const field = kinds.find(({ localName }) => localName === kind);
  if (field?.fieldKind !== "message") return undefined;
  const start = starts[kind];
  const made =
    start === undefined
      ? create(InterventionSchema, { kind: { case: kind, value: started(field.message) } as never })
      : fromJson(InterventionSchema, { [kind]: start });
  const change = changed(made);
  changes.value = [...changes.value, change];
  return change;
}

/** Takes another intervention in place of one. */
export function replace(id: number, intervention: Intervention): void {
  changes.value = changes.value.map((each) => (each.id === id ? { ...each, intervention } : each));
}

/** Switches a change on or off. */
export function toggle(id: number): void {
  changes.value = changes.value.map((each) => (each.id === id ? { ...each, on: !each.on } : each));
}

/** Takes a change away. */
export function remove(id: number): void {
  changes.value = changes.value.filter((each) => each.id !== id);
}

/** Moves a change by some places. */
export function move(id: number, by: number): void {
  const list = [...changes.value];
  const from = list.findIndex((each) => each.id === id);
  const to = from + by;
  if (from === -1 || to < 0 || to >= list.length) return;
  list.splice(to, 0, ...list.splice(from, 1));
  changes.value = list;
}

/** Takes interventions in canonical JSON in place of all changes. */
export function load(list: readonly unknown[]): void {
  changes.value = list.map((json) => changed(fromJson(InterventionSchema, json as JsonObject)));
}

/** An intervention in canonical JSON. */
export function jsonOf(intervention: Intervention): JsonObject {
  return toJson(InterventionSchema, intervention) as JsonObject;
}
