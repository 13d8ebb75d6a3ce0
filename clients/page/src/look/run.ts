/** Asks the server what the view Look shows: the answer, the words, attention and the lens. */

import { computed, signal } from "@preact/signals";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type CaptureTargetSchema,
  DataType,
  type GenerateRequest,
  GenerateRequestSchema,
  type ModelInfo,
  PromptSchema,
  type Provenance,
  Reduction,
  type TokenSelectorSchema,
  Tokens_Named,
} from "scotoma/v1";

import { interventions, interventionsJson, picture, prompt } from "../state/question";
import { client, model } from "../state/server";
import { lookingFrom, Patterns } from "./attention";
import { type Plane, parted, planes, type Scored, type Word, words } from "./layout";
import { Lens } from "./lens";
import { Task, type Told } from "./task";

/** Tokens of an answer that are looked at. */
const MAX_TOKENS = 48;
/** Guesses of the lens. */
const GUESSES = 5;
/** Bytes of attention that are fetched at once; where all words take more, each is fetched when it is chosen. */
const MOST_BYTES = 32 << 20;

/** The picture as the model sees it. */
interface Seen {
  url: string;
  rows: number;
  columns: number;
}

/** What was found. */
export interface Looked {
  /** What was asked; another key, and it is out of date. */
  key: string;
  request: GenerateRequest;
  model: ModelInfo;
  answer: string;
  words: Word[];
  planes: Plane[];
  seen: Seen | undefined;
  provenance: Provenance;
  patterns: Patterns;
  lens: Lens;
}

/** What the last look found. */
export const looked = signal<Looked | undefined>(undefined);
/** Grows when attention or guesses were added to what was found. */
export const added = signal(0);

export const lookTask = new Task();

/** What a look now would ask. */
export const lookKey = computed(() => JSON.stringify([model.value?.name, picture.value?.url, prompt.value?.text, interventionsJson.value]));

/** What was found is of another question than the one that stands there. */
export const outdated = computed(() => looked.value !== undefined && looked.value.key !== lookKey.value);

const selector = (indices: number[]): MessageInitShape<typeof TokenSelectorSchema> => ({
  anyOf: [{ set: { case: "indices", value: { indices } } }],
});

const GENERATED: MessageInitShape<typeof TokenSelectorSchema> = {
  anyOf: [{ set: { case: "named", value: Tokens_Named.GENERATED } }],
};

/** Asks the question that stands there, and looks inside. */
export async function look(): Promise<void> {
  const [asked, info, key] = [prompt.value, model.value, lookKey.value];
  if (asked === undefined || info === undefined) return;
  const request = create(GenerateRequestSchema, {
    model: info.name,
    prompt: asked,
    interventions: interventions.value,
    maxTokens: MAX_TOKENS,
  });
  await lookTask.run(async (signal, told) => {
    told("Asking");
    const answered = await answer(request, signal);
    const seen = await see(request, signal);
    const scored = await promptTokens(request, answered.provenance, signal);
    const { layout } = answered.provenance;
    const found: Looked = {
      key,
      request,
      model: info,
      answer: answered.text,
      words: words(layout, scored, answered.tokens),
      planes: planes(answered.provenance),
      seen,
      provenance: answered.provenance,
      patterns: new Patterns(info.languageModel?.layers ?? 0),
      lens: new Lens(info.languageModel?.layers ?? 0),
    };
    await capture(found, bytesOf(found, found.words.length) <= MOST_BYTES ? found.words : lastOf(found), lensTargets(found), signal, told);
    if (signal.aborted) return;
    if (looked.value?.seen !== undefined) URL.revokeObjectURL(looked.value.seen.url);
    looked.value = found;
  });
}

/**
 * Returns the token that was second to an answer of one token; empty where the answer has more. An answer that is all but certain hardly
 * changes its own probability: how much likelier it is than this one says more.
 */
export function runnerUp({ words: all, lens, answer: text }: Looked): string {
  const own = all.filter(({ of }) => of === "answer");
  const [first, second] = own;
  if (first === undefined || (second !== undefined && second.text !== "")) return "";
  const guesses = lens.at(lens.layers - 1, first.position - 1);
  return guesses.find((guess) => guess.text !== "" && guess.text !== first.text && guess.text !== text)?.text ?? "";
}

const lastOf = ({ words: all }: Looked) => all.filter(({ of }) => of === "answer").slice(0, 1);

async function answer(request: GenerateRequest, signal: AbortSignal) {
  const stream = await client.value.generate(request, { signal });
  const tokens: Scored[] = [];
  for await (const { text, logprob } of stream) tokens.push({ text, logprob });
  const { text, provenance } = stream.finished!;
  return { tokens, text, provenance: provenance! };
}

/** The picture after cropping and the changes; nothing where there is none. */
async function see({ model: name, prompt: asked, interventions: list }: GenerateRequest, signal: AbortSignal): Promise<Seen | undefined> {
  const [image] = asked?.images ?? [];
  if (image === undefined) return undefined;
  const { png, gridRows, gridColumns } = await client.value.preview({ model: name, image, interventions: list }, { signal });
  const url = URL.createObjectURL(new Blob([png as Uint8Array<ArrayBuffer>], { type: "image/png" }));
  return { url, rows: gridRows, columns: gridColumns };
}

/** The tokens of the prompt after its last picture: Score says how it parts a text. */
async function promptTokens({ model: name, prompt: asked }: GenerateRequest, { promptText }: Provenance, signal: AbortSignal): Promise<Scored[]> {
  const { before, after } = parted(promptText);
  if (before === "" || after === "") return [];
  try {
    const raw = create(PromptSchema, { text: before, raw: true, images: asked?.images ?? [] });
    const { scores } = await client.value.score({ model: name, prompt: raw, continuations: [after] }, { signal });
    return scores[0]?.tokens ?? [];
  } catch (error) {
    // Words without their texts are still looked at.
    if (signal.aborted) throw error;
    return [];
  }
}

/** Bytes of the attention of so many words, as it is sent. */
function bytesOf({ model: { languageModel }, words: all }: Looked, count: number): number {
  const positions = (all.at(-1)?.position ?? 0) + 1;
  return count * (languageModel?.layers ?? 0) * (languageModel?.heads ?? 0) * positions * 2;
}

type Target = MessageInitShape<typeof CaptureTargetSchema>;

/** What has to be captured of attention for some words: rows of the prompt, and steps of the answer. */
function patternTargets({ words: all }: Looked, wanted: readonly Word[]): Target[] {
  const end = all.find(({ of }) => of === "answer")?.position ?? (all.at(-1)?.position ?? 0) + 1;
  const from = [...new Set(wanted.map(lookingFrom))].sort((a, b) => a - b);
  const [inPrompt, later] = [from.filter((position) => position < end), from.filter((position) => position >= end)];
  const point = "language_model.blocks.{l}.attn.hook_pattern";
  const targets: Target[] = [];
  if (inPrompt.length > 0) targets.push({ target: { point, tokens: selector(inPrompt), steps: { last: 0 } } });
  const [first, last] = [later[0], later.at(-1)];
  if (first !== undefined && last !== undefined) {
    targets.push({ target: { point, tokens: GENERATED, steps: { first: first - end + 1, last: last - end + 1 } } });
  }
  return targets;
}

const LENS_POINT = "language_model.blocks.{l}.hook_resid_post";

function lensTargets({ words: all }: Looked): Target[] {
  const inPrompt = all.filter(({ of }) => of === "prompt").map(({ position }) => position);
  const common = { reduction: Reduction.TOP_TOKENS, top: GUESSES };
  const targets: Target[] = [];
  if (inPrompt.length > 0) targets.push({ ...common, target: { point: LENS_POINT, tokens: selector(inPrompt), steps: { last: 0 } } });
  if (all.length - inPrompt.length > 1) targets.push({ ...common, target: { point: LENS_POINT, tokens: GENERATED, steps: { first: 1 } } });
  return targets;
}

const layerOf = (point: string) => Number(/\.blocks\.(\d+)\./.exec(point)?.[1] ?? 0);

async function capture(found: Looked, wanted: readonly Word[], others: Target[], signal: AbortSignal, told: Told): Promise<void> {
  const targets = [...patternTargets(found, wanted), ...others];
  if (targets.length === 0) return;
  const { model: name, prompt: asked, interventions: list } = found.request;
  const tokens = found.words.filter(({ of }) => of === "answer").length;
  told("Looking inside");
  const stream = await client.value.capture(
    { model: name, prompt: asked!, interventions: list, targets, dtype: DataType.F16, maxTokens: tokens },
    { signal },
  );
  const layers = found.model.languageModel?.layers ?? 0;
  for await (const { point, tokens: at, shape, values, top } of stream) {
    const layer = layerOf(point);
    if (top.length > 0) found.lens.add(layer, at, top);
    else found.patterns.add({ layer, tokens: at, shape, values });
    told("Looking inside", layer + 1, layers);
  }
}

export const wordTask = new Task();

/** Fetches the attention of a word that was left out for its size. */
export async function fetchWord(word: Word): Promise<void> {
  const found = looked.value;
  if (found === undefined || found.patterns.of(word) !== undefined) return;
  await wordTask.run(async (signal, told) => {
    await capture(found, [word], [], signal, told);
    added.value += 1;
  });
}

export const patchLensTask = new Task();

/** Fetches what the lens says at the patches. */
export async function fetchPatchLens(): Promise<void> {
  const found = looked.value;
  if (found === undefined) return;
  const positions = found.planes.flatMap(({ positions: all }) => [...all].filter((one) => one >= 0));
  const target = { point: LENS_POINT, tokens: selector(positions), steps: { last: 0 } };
  await patchLensTask.run(async (signal, told) => {
    await capture(found, [], [{ target, reduction: Reduction.TOP_TOKENS, top: 3 }], signal, told);
    added.value += 1;
  });
}
