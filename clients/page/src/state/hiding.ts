/** Hides patches by their numbers: the change that the grid over the picture edits. */

import { create } from "@bufbuild/protobuf";
import { computed } from "@preact/signals";
import { InterventionSchema, OccludePatches_Fill, OccludePatchesSchema, PatchIndicesSchema } from "scotoma/v1";

import { remove } from "./edit";
import { changed, changes } from "./question";

/** The change that the grid edits: the first that hides patches of the tower's own grid by their numbers. */
export const hiding = computed(() =>
  changes.value.find(({ intervention: { kind } }) => kind.case === "occludePatches" && kind.value.choice.case === "indices" && kind.value.grid === 0),
);

/** The patches that it hides. */
export const hidden = computed<ReadonlySet<number>>(() => {
  const kind = hiding.value?.intervention.kind;
  if (kind?.case !== "occludePatches" || kind.value.choice.case !== "indices") return new Set();
  return new Set(kind.value.choice.value.indices);
});

/** Hides patches, or shows them again; `only` these. The change comes and goes with them. */
export function hide(patches: readonly number[], isHidden: boolean, only = false): void {
  const next = new Set(only ? [] : hidden.value);
  patches.forEach((patch) => (isHidden ? next.add(patch) : next.delete(patch)));
  const change = hiding.value;
  if (next.size === 0) {
    if (change !== undefined) remove(change.id);
    return;
  }
  const kind = change?.intervention.kind;
  const before = kind?.case === "occludePatches" ? kind.value : create(OccludePatchesSchema, { fill: OccludePatches_Fill.BLACK });
  const indices = create(PatchIndicesSchema, { indices: [...next].sort((a, b) => a - b) });
  const value = { ...before, choice: { case: "indices" as const, value: indices } };
  const intervention = create(InterventionSchema, { kind: { case: "occludePatches", value } });
  if (change === undefined) changes.value = [...changes.value, changed(intervention)];
  else changes.value = changes.value.map((each) => (each.id === change.id ? { ...each, on: true, intervention } : each));
}
