/** Helpers and selectors, without a server. Run by `node --test`. */

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  addNoise,
  helpers,
  patch,
  projectOut,
  sampling,
  Selector,
  steer,
  target,
  toCanonicalJson,
  tokens,
} from "../src/common.js";
import { InterventionSchema, TokensSchema, Tokens_Named } from "../src/v1.js";

test("every kind of the contract has a helper", () => {
  const kinds = InterventionSchema.oneofs.find((own) => own.name === "kind")?.fields.map((field) => field.localName);
  assert.deepEqual(Object.keys(helpers).sort(), [...(kinds ?? [])].sort());
});

test("every named set and every way to say one is there", () => {
  const named = Object.entries(Tokens_Named).filter(([name, number]) => typeof number === "number" && number > 0 && name !== "ALL");
  for (const [name] of named) {
    const own = name.toLowerCase().replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
    const made = tokens[own as "visual"];
    assert.ok(made instanceof Selector, own);
    const [first] = made.message.anyOf;
    assert.equal(first?.set.value, Tokens_Named[name as "VISUAL"]);
  }
  const ways = TokensSchema.fields.map((field) => field.localName);
  assert.deepEqual(ways, ["named", "indices", "image", "tile", "blocks", "random", "salient", "turn", "measured"]);
});

test("selectors compose as sets", () => {
  const [few, many] = [tokens.at(1, 2), tokens.at(2, 3, 4)];
  const cases: [Selector, Selector][] = [
    [tokens.visual.and(tokens.block(2, 3)), tokens.block(2, 3)],
    [tokens.block(2, 1, 3).minus(tokens.block(2, 3)), tokens.block(2, 1)],
    [tokens.visual.minus(tokens.block(2, 3)), tokens.text.or(tokens.generated).or(tokens.block(2, 3)).not()],
    [tokens.text.and(tokens.question.not()), tokens.visual.or(tokens.generated).or(tokens.question).not()],
    [tokens.text.and(tokens.visual), tokens.all.not()],
    [tokens.question.and(tokens.user), tokens.question],
    [tokens.question.and(tokens.system), tokens.all.not()],
    [tokens.last.and(tokens.generated), tokens.generated],
    [few.and(many), tokens.at(2)],
    [few.not().or(many), tokens.at(1).not()],
    [few.not().and(many.not()), few.or(many).not()],
    [tokens.all.minus(few), few.not()],
    [tokens.all.or(few), tokens.all],
    [few.not().not(), few],
  ];
  for (const [made, wanted] of cases) {
    assert.deepEqual(made.message, wanted.message);
  }
  assert.throws(() => tokens.salient({ share: 0.5 }).and(tokens.turn(1)), /no selector says this/);
  assert.throws(() => tokens.last.and(tokens.text), /no selector says this/);
  assert.throws(() => tokens.random(0.5).and(tokens.random(0.5)), /no selector says this/);
  assert.throws(() => tokens.block(2, 4), /blocks 0 to 3/);
});

test("numbers and names are what the contract takes", () => {
  const at = target("language_model.blocks.5.hook_resid_post");
  assert.deepEqual(toCanonicalJson(steer(at, Float32Array.of(1, 2))), toCanonicalJson(steer(at, [1, 2])));
  const held = { values: Float32Array.of(1, 2, 3, 4), shape: [2, 2] };
  assert.deepEqual(toCanonicalJson(patch(at, held)), toCanonicalJson(patch(at, [[1, 2], Float64Array.of(3, 4)])));
  assert.equal(toCanonicalJson(projectOut(at, [1, 0])).projectOut !== undefined, true);
  assert.throws(() => patch(at, [[1, 2], [3]]), /rows of one width/);
  assert.throws(() => addNoise(at, 1, { geometry: "kesk" as "keskar" }), /keskar, additive, gaussian are/);
  assert.equal(sampling({ temperature: 0.7, topP: 0.9, seed: 5 }).seed, 5n);
  assert.throws(() => sampling({ temprature: 1 } as object), /temperature/);
});
