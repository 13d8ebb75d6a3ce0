/** Holds what all views look at: the picture, the question, and the changes. */

import { batch, computed, signal } from "@preact/signals";
import { image, toCanonicalJson } from "scotoma";
import { type Image, ImageSchema, type Intervention, type Prompt, PromptSchema } from "scotoma/v1";
import { create, type JsonObject } from "@bufbuild/protobuf";

/** A picture that is asked about. */
export interface Picture {
  /** What people call it. */
  name: string;
  /** A file's bytes; none where the page knows its handle alone. */
  bytes: Uint8Array<ArrayBuffer>;
  /** An address that an <img> can show; empty where there are no bytes. */
  url: string;
  /** What the server knows it by, where a link named it so. */
  handle?: string;
}

/** A change in the list of changes. */
export interface Change {
  /** Tells it apart from others in the list, whatever their order. */
  id: number;
  /** Whether it acts. */
  on: boolean;
  intervention: Intervention;
}

/** The picture; undefined before there is one. */
export const picture = signal<Picture | undefined>(undefined);

/** Returns a picture as requests have it. */
export function imageOf({ bytes, handle }: Picture): Image {
  return handle === undefined ? image(bytes) : create(ImageSchema, { source: { case: "handle", value: handle } });
}

/** The question. */
export const question = signal("");

/** The changes in their order. */
export const changes = signal<Change[]>([]);

/** The interventions of the changes that are switched on. */
export const interventions = computed(() => changes.value.filter(({ on }) => on).map(({ intervention }) => intervention));

/** The same in canonical JSON. */
export const interventionsJson = computed<JsonObject[]>(() => interventions.value.map(toCanonicalJson));

/** What the model reads; undefined as long as there is no question. */
export const prompt = computed<Prompt | undefined>(() => {
  if (question.value.trim() === "") return undefined;
  return create(PromptSchema, {
    text: question.value,
    images: picture.value === undefined ? [] : [imageOf(picture.value)],
  });
});

let last = 0;

/** Returns an intervention as a change that acts. */
export function changed(intervention: Intervention): Change {
  last += 1;
  return { id: last, on: true, intervention };
}

/** Shows a picture. */
export function show(bytes: Uint8Array<ArrayBuffer>, name: string, type = ""): void {
  const before = picture.value;
  picture.value = { name, bytes, url: URL.createObjectURL(new Blob([bytes], type === "" ? {} : { type })) };
  if (before !== undefined) URL.revokeObjectURL(before.url);
}

/** Shows a picture that the server has; its bytes are not here. */
export function showHandle(handle: string, name: string): void {
  picture.value = { name, bytes: new Uint8Array(), url: "", handle };
}

/** Shows no picture. */
export function clearPicture(): void {
  picture.value = undefined;
}

/** Shows a picture with its question. */
export function pose(bytes: Uint8Array<ArrayBuffer>, name: string, text: string): void {
  batch(() => {
    show(bytes, name);
    question.value = text;
  });
}
