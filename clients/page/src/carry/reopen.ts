/** Opens what a link holds, or, at the first visit, an example. */

import { batch, signal } from "@preact/signals";

import { route } from "../route";
import { maxTokens, sampleKey, sampling, stops } from "../state/answers";
import { load } from "../state/edit";
import { changed, changes, clearPicture, picture, question, showHandle } from "../state/question";
import { sampleOf, sampleShown, showSample } from "../state/samples";
import { chosenModel } from "../state/server";
import { type Linked, read } from "./link";

/** What is wrong with the link that the page was opened by. */
export const wrongLink = signal("");

/** A number that loses a digit where a patch is hidden. */
const EXAMPLE = "16";
const EXAMPLE_CHANGE = [{ occludePatches: { fill: "FILL_BLACK", indices: { indices: [24] } } }];

let opened: string | undefined;

/** Opens the address, once. */
export function open(): void {
  const { params } = route.value;
  const text = params.toString();
  if (text !== "" && text !== opened) {
    opened = text;
    try {
      take(read(params));
      wrongLink.value = "";
      return;
    } catch (error) {
      wrongLink.value = error instanceof Error ? error.message : String(error);
    }
  }
  if (picture.value === undefined && question.value === "") example();
}

function example(): void {
  const sample = sampleOf(EXAMPLE);
  if (sample === undefined) return;
  batch(() => {
    showSample(sample);
    load(EXAMPLE_CHANGE);
  });
}

function take(linked: Linked): void {
  const sample = sampleOf(linked.sample);
  batch(() => {
    if (sample !== undefined) showSample(sample, linked.question);
    else {
      sampleShown.value = undefined;
      question.value = linked.question;
      if (linked.handle === "") clearPicture();
      else showHandle(linked.handle, linked.name || "the picture of the link");
    }
    chosenModel.value = linked.model;
    changes.value = linked.changes.map(({ on, intervention }) => ({ ...changed(intervention), on }));
    sampling.value = linked.sampling;
    maxTokens.value = linked.maxTokens;
    stops.value = linked.stops;
    sampleKey.value = linked.sampleKey;
  });
}
