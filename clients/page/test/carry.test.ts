import { create, fromJson } from "@bufbuild/protobuf";
import { GenerateRequestSchema, type Intervention, InterventionSchema, SamplingSchema } from "scotoma/v1";
import { expect, test } from "vitest";

import { LONGEST, read, write } from "../src/carry/link";
import { asPython, type Carried } from "../src/carry/python";
import { asCommand, asCurl, word } from "../src/carry/shell";
import { firstSentence, writtenRange } from "../src/forms/hints";
import { words } from "../src/forms/names";
import { parseNumbers, writeNumbers } from "../src/forms/numbers";
import { started } from "../src/forms/start";
import { ideas, starts } from "../src/state/starts";

const noise = fromJson(InterventionSchema, {
  addNoise: { target: { point: "language_model.blocks.{l}.hook_resid_pre", layers: [1, 2] }, scale: 0.5, randomScale: true, seed: "7" },
});

function carried(text: string, interventions: Intervention[] = [], sampling = {}): Carried {
  const request = create(GenerateRequestSchema, { model: "shapes", prompt: { text }, sampling, maxTokens: 8 });
  return { address: "http://127.0.0.1:7878", keyed: true, file: "it's.png", request, interventions };
}

test("Python has the contract's names, and seeds as numbers", () => {
  const code = asPython(carried('Is "it" $5?', [noise], { temperature: 0.7, seed: 9n, logitBias: { 5: -1 } }));
  expect(code).toContain('"Is \\"it\\" $5?", "it\'s.png",');
  expect(code).toContain(
    'intervention("add_noise", target={"point": "language_model.blocks.{l}.hook_resid_pre", "layers": [1, 2]}, scale=0.5, random_scale=True, seed=7)',
  );
  for (const line of ["temperature=0.7,", "seed=9,", "logit_bias={5: -1},", "max_tokens=8,", 'model="shapes",']) expect(code).toContain(line);
});

test("a field that is a keyword of Python is passed by its name", () => {
  const knockOut = fromJson(InterventionSchema, { knockOutAttention: { layers: [1], from: { anyOf: [{ named: "NAMED_LAST" }] } } });
  expect(asPython(carried("?", [knockOut]))).toContain(
    'intervention("knock_out_attention", layers=[1], **{"from": {"any_of": [{"named": "NAMED_LAST"}]}}),',
  );
});

test("a shell reads every word as it stands", () => {
  expect(word("it's.png")).toBe(`'it'\\''s.png'`);
  const command = asCommand(carried("a `b` $c", [noise], { typicalP: 0.5 }));
  expect(command).toContain("'a `b` $c'");
  expect(command).toContain("# Without typical_p, which");
  // Within a here-document the shell reads backquotes and dollars, and this has one of its own.
  expect(asCurl(carried("a `b` $c \\"))).toContain("a \\`b\\` \\$c \\\\\\\\");
});

test("a link comes back as it was written", () => {
  const linked = {
    question: "What? & ü #",
    model: "shapes",
    sample: "",
    handle: "0".repeat(64),
    name: "my picture.png",
    changes: [
      { on: true, intervention: noise },
      { on: false, intervention: fromJson(InterventionSchema, { blankImage: {} }) },
    ],
    sampling: create(SamplingSchema, { temperature: 1, seed: 3n }),
    maxTokens: 12,
    stops: ["a|b", "\n"],
    sampleKey: "k",
  };
  const params = write(linked);
  expect(params.toString().length).toBeLessThan(LONGEST);
  expect(read(new URLSearchParams(params.toString()))).toEqual(linked);
});

test("what is no link is refused", () => {
  for (const bad of ["changes=[", "changes={}", 'changes=[[{"nothing":1},1]]', "picture=../..", `q=${"a".repeat(40_000)}`, 'sampling={"heat":1}']) {
    expect(() => read(new URLSearchParams(bad)), bad).toThrow();
  }
});

test("numbers as people write them", () => {
  expect(parseNumbers("0, 3-5 9;10", true)).toEqual([0, 3, 4, 5, 9, 10]);
  expect(parseNumbers("-1.5e-3, 2", false)).toEqual([-0.0015, 2]);
  expect(parseNumbers("", true)).toEqual([]);
  for (const bad of ["a", "1.5", "-1", "5-3", "0-9999999"]) expect(parseNumbers(bad, true), bad).toBeTypeOf("string");
  expect(writeNumbers([0, 3, 4, 5, 9, 10])).toBe("0, 3-5, 9, 10");
});

test("words, sentences and ranges of the contract", () => {
  expect(words("FILL_BLACK")).toBe("Fill black");
  expect(words("nonSalient")).toBe("Non salient");
  expect(firstSentence("Share of the cells, 0 to 1. Or not.")).toBe("Share of the cells, 0 to 1.");
  expect(writtenRange("Share of the cells, 0 to 1.", false)).toEqual({ min: 0, max: 1, step: 0.01 });
  expect(writtenRange("0 to 255.", true)).toEqual({ min: 0, max: 255, step: 1 });
  expect(writtenRange("-1e6 to 1e6.", false)).toBeUndefined();
  expect(writtenRange("1 to the side", true)).toBeUndefined();
});

test("every kind can be begun, and every start is of the contract", () => {
  const kinds = InterventionSchema.oneofs[0]?.fields ?? [];
  for (const field of kinds) expect(field.message && started(field.message).$typeName).toContain("scotoma.v1.");
  for (const [kind, start] of Object.entries(starts)) fromJson(InterventionSchema, { [kind]: start });
  for (const { list } of ideas) list.forEach((json) => fromJson(InterventionSchema, json));
});
