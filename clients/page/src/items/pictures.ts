/** Finds the first picture of a row, to be shown. */

import { partOf } from "./columns";
import { fileOf, type ItemRow, pictureRow, type Table } from "./table";

/** Returns the file of a row's first picture; undefined where there is none that this page can find. */
export function pictureBlob(table: Table, row: ItemRow, files: ReadonlyMap<string, File>): Blob | undefined {
  return pictureOf(partOf(pictureRow(table, row).cells, "image"), files);
}

function pictureOf(value: unknown, files: ReadonlyMap<string, File>): Blob | undefined {
  if (value instanceof Uint8Array) return new Blob([value as Uint8Array<ArrayBuffer>]);
  if (Array.isArray(value)) return pictureOf(value[0], files);
  if (typeof value === "string") return ofText(value.trim(), files);
  if (typeof value === "object" && value !== null) {
    const { bytes, path } = value as { bytes?: unknown; path?: unknown };
    return pictureOf(bytes ?? path, files);
  }
  return undefined;
}

function ofText(text: string, files: ReadonlyMap<string, File>): Blob | undefined {
  if (/^[[]/.test(text)) {
    const first = /["']([^"']+)["']/.exec(text)?.[1];
    return first === undefined ? undefined : ofText(first, files);
  }
  const file = text.length <= 1024 ? fileOf(text, files) : undefined;
  if (file !== undefined) return file;
  const base64 = text.replace(/^data:[^,]*,/, "").replaceAll(/\s/g, "").replaceAll("-", "+").replaceAll("_", "/");
  if (base64.length < 32) return undefined;
  try {
    return new Blob([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))]);
  } catch {
    return undefined;
  }
}
