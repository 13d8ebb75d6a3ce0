import { create } from "@bufbuild/protobuf";
import { ProvenanceSchema, SpanKind } from "scotoma/v1";
import { expect, test } from "vitest";

import { attention, lookingFrom, mass, Patterns } from "../src/look/attention";
import { onPlane, parted, planes, shown, tailOf, words } from "../src/look/layout";
import { Lens } from "../src/look/lens";
import { groupsOf, measure, SweepMap } from "../src/look/maps";

const text = (start: number, end: number) => ({ kind: SpanKind.TEXT, start, end });

test("patches of a base view, and words behind it", () => {
  const view = { kind: SpanKind.BASE_VIEW, start: 2, end: 6, gridRows: 2, gridColumns: 2 };
  const { layout, plan } = create(ProvenanceSchema, { layout: [text(0, 2), view, text(6, 8)] });
  const [plane] = planes({ layout, plan });
  expect([...(plane?.positions ?? [])]).toEqual([2, 3, 4, 5]);
  expect(tailOf(layout)).toEqual({ start: 6, end: 8 });
  expect([...onPlane(plane!, [9, 9, 1, 2, 3])]).toEqual([1, 2, 3, NaN]);
  const found = words(layout, [{ text: "Is", logprob: -1 }, { text: "?", logprob: -2 }], [{ text: " no", logprob: -0.1 }]);
  expect(found.map(({ text: one, position, of }) => [one, position, of])).toEqual([["Is", 6, "prompt"], ["?", 7, "prompt"], [" no", 8, "answer"]]);
  expect(found.map(lookingFrom)).toEqual([6, 7, 7]);
  expect(words(layout, [], [])[0]?.text).toBe("[6]");
});

test("a selection of patches keeps their places", () => {
  const { layout, plan } = create(ProvenanceSchema, {
    layout: [{ kind: SpanKind.BASE_VIEW, start: 0, end: 2, gridRows: 2, gridColumns: 2 }],
    plan: [{ intervention: { kind: { case: "selectTokens", value: {} } }, resolutions: [{ indices: [1, 3] }] }],
  });
  expect([...(planes({ layout, plan })[0]?.positions ?? [])]).toEqual([-1, 0, -1, 1]);
});

test("rows of tiles make up a canvas", () => {
  const tile = (start: number, row: number, column: number) => ({ kind: SpanKind.TILE, start, end: start + 2, gridRows: 2, gridColumns: 4, row, column });
  const { layout, plan } = create(ProvenanceSchema, {
    layout: [
      { kind: SpanKind.BASE_VIEW, start: 0, end: 1, gridRows: 1, gridColumns: 1 },
      ...[tile(1, 0, 0), tile(3, 0, 2), { kind: SpanKind.NEWLINE, start: 5, end: 6 }, tile(6, 1, 0), tile(8, 1, 2)],
    ],
  });
  const [view, canvas] = planes({ layout, plan });
  expect([view?.of, canvas?.of]).toEqual(["view", "canvas"]);
  expect([...(canvas?.positions ?? [])]).toEqual([1, 2, 3, 4, 6, 7, 8, 9]);
});

test("a prompt is parted after its last picture", () => {
  expect(parted("USER: <image>\nIs it?")).toEqual({ before: "USER: <image>", after: "\nIs it?" });
  expect(parted("Is it?")).toEqual({ before: "", after: "Is it?" });
  expect(["", "\n", " ", " no"].map(shown)).toEqual(["(end)", "↵", "␣", "no"]);
});

test("patterns by layer and head, and their means", () => {
  const patterns = new Patterns(2);
  patterns.add({ layer: 0, tokens: [3], shape: [1, 2, 2], values: Float32Array.of(1, 0, 0.5, 0.5) });
  patterns.add({ layer: 1, tokens: [3], shape: [1, 2, 2], values: Float32Array.of(0, 1, 0, 1) });
  const pattern = patterns.of({ text: " no", position: 4, of: "answer", logprob: 0 })!;
  expect([...attention(pattern, 0, 1)]).toEqual([0.5, 0.5]);
  expect([...attention(pattern, 0, undefined)]).toEqual([0.75, 0.25]);
  expect([...attention(pattern, undefined, undefined)]).toEqual([0.375, 0.625]);
  expect([...mass(pattern, [1, -1])]).toEqual([0, 0.5, 1, 1]);
  expect(patterns.of({ text: "", position: 9, of: "prompt", logprob: 0 })).toBeUndefined();
});

test("the lens says from which layer on the answer stands", () => {
  const lens = new Lens(3);
  [" yes", " no", " no"].forEach((one, layer) => lens.add(layer, [5], [{ tokens: [{ text: one, logprob: -layer }] }]));
  expect([lens.at(0, 5)[0]?.text, lens.settled(5), lens.settled(6), lens.has(5)]).toEqual([" yes", 1, undefined, true]);
});

test("drops by hand", () => {
  const map = new SweepMap(3);
  map.add(0, [-1, -3]);
  map.add(1, [-2, -2]);
  map.add(2, [-1, -3]);
  map.add(3, "no such patch");
  expect(measure([-1, -3])).toBe(2);
  expect([...map.drops()]).toEqual([2, 0, NaN]);
  expect([map.done, map.errors.get(2)]).toEqual([4, "no such patch"]);
});

test("groups of tokens", () => {
  const plane = { rows: 3, columns: 2, positions: [1, 2, 3, 4, 5, -1] };
  const groups = groupsOf([plane], [{ text: "red", position: 6 }], 1, 2);
  expect(groups).toEqual([
    { name: "before", positions: [0] },
    { name: "row 1", positions: [1, 2] },
    { name: "rows 2–3", positions: [3, 4, 5] },
    { name: "red", positions: [6] },
  ]);
});
