/** Ways to ask each question of a table, and the rules by which answers are read. */

import { intervention } from "scotoma";
import { create, type JsonObject } from "@bufbuild/protobuf";
import { type EvaluateVariant, EvaluateVariantSchema, type RuleInfo } from "scotoma/v1";

import type { Kind } from "./analysis";
import { asText, optionsOf, partOf } from "./columns";
import type { Table } from "./table";

/** A way of asking. */
export interface Way {
  name: string;
  kind: Kind;
  interventions: JsonObject[];
  /** Seed of a sampled answer; undefined: greedy. */
  seed?: bigint;
}

/** Ways that are switched on and off together. */
export interface WaySet {
  name: string;
  about: string;
  ways: Way[];
}

const range = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

/** As it is; every other way is compared with it. */
export const PLAIN: Way = { name: "as it is", kind: "plain", interventions: [] };

/** What can be asked beside. Seeds are written down, so that the same table gets the same answers again. */
export const SETS: WaySet[] = [
  {
    name: "without the picture",
    about: "a black picture, and no visual tokens: a question that is still right does not need its picture",
    ways: [
      { name: "black", kind: "unseen", interventions: [{ blankImage: { colour: "COLOUR_BLACK" } }] },
      {
        name: "no visual tokens",
        kind: "unseen",
        interventions: [{ selectTokens: { tokens: { anyOf: [{ named: "NAMED_ALL" }] }, mode: "MODE_REMOVE" } }],
      },
    ],
  },
  {
    name: "permuted, three times",
    about: "the visual tokens in another order: an answer that stays does not need places",
    ways: range(3).map((seed) => ({ name: `permuted, seed ${seed}`, kind: "changed", interventions: [{ permuteTokens: { seed: String(seed) } }] })),
  },
  {
    name: "half hidden, twice",
    about: "half of the patches are black",
    ways: range(2).map((seed) => ({
      name: `half hidden, seed ${seed}`,
      kind: "changed",
      interventions: [{ occludePatches: { random: { ratio: 0.5, seed: String(seed) } } }],
    })),
  },
  {
    name: "sampled, three times",
    about: "answers drawn at temperature 1: how often they agree with the likeliest one",
    ways: range(3).map((seed) => ({ name: `sampled, seed ${seed}`, kind: "sampled", interventions: [], seed: BigInt(seed) })),
  },
];

/** Ways that one call can ask together: those that choose tokens alike. */
export function calls(ways: readonly Way[]): { seed: bigint | undefined; ways: Way[] }[] {
  const groups = new Map<bigint | undefined, Way[]>();
  for (const way of ways) groups.set(way.seed, [...(groups.get(way.seed) ?? []), way]);
  return [...groups].map(([seed, own]) => ({ seed, ways: own }));
}

/** Returns a way as a variant. */
export function variantOf({ name, interventions }: Way): EvaluateVariant {
  return create(EvaluateVariantSchema, { name, interventions: interventions.map(intervention) });
}

/** Returns the rule that fits a table: that of the benchmark whose name its file has, or one by the look of its answers. */
export function ruleFor(table: Table, rules: readonly RuleInfo[]): string {
  const file = table.name.toLowerCase();
  const named = rules.find(({ name }) => !name.startsWith("custom/") && file.includes(name.split("/")[0] ?? name));
  if (named !== undefined) return named.name;
  const some = table.rows.slice(0, 200);
  const answers = some.map(({ cells }) => asText(partOf(cells, "answer")).trim().toLowerCase());
  if (answers.every((answer) => answer === "yes" || answer === "no")) return "custom/yes-no";
  if (some.every(({ cells }) => optionsOf(cells) !== "")) return "custom/letter";
  return "custom/short";
}
