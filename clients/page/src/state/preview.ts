/** Holds the picture as the model sees it. */

import { effect, signal } from "@preact/signals";
import { ScotomaError } from "scotoma";
import type { PreviewResponse } from "scotoma/v1";

import { withPicture } from "./answers";
import { interventions, type Picture, picture } from "./question";
import { client, model, notice, standing } from "./server";

/** A picture as the model sees it. */
export interface Seen extends PreviewResponse {
  /** An address that an <img> can show. */
  url: string;
}

/** What the model sees; undefined before there is anything. */
export const seen = signal<Seen | undefined>(undefined);
/** What is wrong with a change, as a preview tells it. */
export const refused = signal<ScotomaError | undefined>(undefined);

const PAUSE_MS = 60;

/** Keeps the preview up to date. */
export function previewAsThingsChange(): () => void {
  let timer = 0;
  let last = new AbortController();
  return effect(() => {
    // What it depends on.
    const [shown, list, name, ready] = [picture.value, interventions.value, model.value?.name, standing.value.is === "ready"];
    clearTimeout(timer);
    last.abort();
    if (shown === undefined || name === undefined || !ready) return;
    const abort = new AbortController();
    last = abort;
    timer = window.setTimeout(() => void preview(name, list, abort.signal), PAUSE_MS);
  });
}

/** The picture that `seen` is of. */
let of: Picture | undefined;

async function preview(name: string, list: typeof interventions.value, signal: AbortSignal): Promise<void> {
  const shown = picture.value;
  try {
    const response = await withPicture(
      ([image]) => client.value.preview({ model: name, image: image as never, interventions: list }, { signal }),
      signal,
    );
    if (signal.aborted) return;
    const before = seen.value;
    const url = URL.createObjectURL(new Blob([response.png as Uint8Array<ArrayBuffer>], { type: "image/png" }));
    seen.value = { ...response, url };
    of = shown;
    refused.value = undefined;
    if (before !== undefined) URL.revokeObjectURL(before.url);
  } catch (error) {
    if (signal.aborted) return;
    const failed = ScotomaError.from(error);
    notice(failed);
    refused.value = failed;
    // What was seen of another picture is not this one.
    if (shown !== of) seen.value = undefined;
  }
}
