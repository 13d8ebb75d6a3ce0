/** Knows, for a field of the contract, what its control should offer beyond the field's kind: a range, a count of layers, names. */

import type { DescField, DescMessage, DescOneof, DescEnum } from "@bufbuild/protobuf";
import comments from "virtual:contract-comments";
import type { HookPoint, ModelInfo, StackInfo } from "scotoma/v1";
import { Stack } from "scotoma/v1";

const PACKAGE = "scotoma.v1.";

/** Returns what the contract says of something; the empty string where it says nothing. */
export function commentOf(desc: DescMessage | DescField | DescOneof | DescEnum): string {
  const isMember = desc.kind === "field" || desc.kind === "oneof";
  const name = isMember ? `${desc.parent.typeName}.${desc.name}` : desc.typeName;
  return comments[name.replace(PACKAGE, "")] ?? "";
}

/** Returns what the contract says of a value of an enum. */
export function commentOfValue(desc: DescEnum, name: string): string {
  // A value of a nested enum stands under its message in the contract, whatever languages make of it.
  return comments[`${desc.typeName.replace(PACKAGE, "")}.${name}`] ?? "";
}

/** Returns the first sentence of a comment. */
export function firstSentence(comment: string): string {
  return /^.*?[.:](?=\s|$)/.exec(comment)?.[0].replace(/:$/, ".") ?? comment;
}

/** What bounds a number. */
export interface Range {
  min: number;
  max: number;
  step: number;
}

const WRITTEN = /(?:^|[\s;,(])(-?\d+(?:\.\d+)?) to (\d+(?:\.\d+)?)(?=[\s.;,)]|$)/;
const WIDEST = 1024;

/** Returns the range that a comment names, if it is one that a slider can show. */
export function writtenRange(comment: string, whole: boolean): Range | undefined {
  const found = WRITTEN.exec(comment);
  const [min, max] = [Number(found?.[1]), Number(found?.[2])];
  if (found === null || !(max > min) || max > WIDEST) return undefined;
  return { min, max, step: whole ? 1 : (max - min) / 100 };
}

/** What the model at hand has, which fields with numbers of layers, heads or names refer to. */
export interface Surroundings {
  model: ModelInfo | undefined;
  hookPoints: HookPoint[];
}

/** Returns the stack whose layers a message speaks of. */
function stackOf(message: object, model: ModelInfo): StackInfo | undefined {
  const { stack, point } = message as { stack?: Stack; point?: string };
  const isTower = stack === Stack.VISION_TOWER || point?.startsWith("vision_tower") === true;
  return isTower ? model.visionTower : model.languageModel;
}

/** Returns how many layers or heads a field of this name counts, from 0; undefined where it counts neither. */
export function countOf(field: DescField, message: object, { model, hookPoints }: Surroundings): number | undefined {
  if (model === undefined) return undefined;
  const stack = stackOf(message, model);
  const { point } = message as { point?: string };
  switch (field.name) {
    case "layer":
    case "layers":
    case "first":
    case "last":
      return field.parent.name === "Steps" ? undefined : (stack?.layersRun || stack?.layers);
    case "heads":
    case "head":
      return hookPoints.find(({ name }) => name === point)?.heads || stack?.heads;
    default:
      return undefined;
  }
}

/** Returns the names that a text field can have. */
export function namesFor(field: DescField, { model, hookPoints }: Surroundings): string[] {
  switch (`${field.parent.name}.${field.name}`) {
    case "Target.point":
      return hookPoints.map(({ name }) => name);
    case "SwapProjector.name":
      return model?.projectors ?? [];
    case "SalientPatches.model":
      return model?.saliencyModels ?? [];
    default:
      return [];
  }
}
