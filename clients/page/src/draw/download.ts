/** Hands files to the browser. */

/** Saves a file under a name. */
export function save(name: string, content: BlobPart | Blob, type: string): void {
  const blob = content instanceof Blob ? content : new Blob([content], { type });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The browser has read it by then.
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Saves what `draw` paints on a canvas of this size as a PNG, twice as fine as on the page. */
export async function savePng(
  name: string,
  width: number,
  height: number,
  draw: (context: CanvasRenderingContext2D) => void | Promise<void>,
): Promise<void> {
  const canvas = document.createElement("canvas");
  canvas.width = 2 * width;
  canvas.height = 2 * height;
  const context = canvas.getContext("2d");
  if (context === null) return;
  context.scale(2, 2);
  await draw(context);
  const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, "image/png"));
  if (blob !== null) save(name, blob, "image/png");
}

/** Returns a name that every file system takes. */
export function fileName(text: string): string {
  const plain = text.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-").replaceAll(/^-|-$/g, "");
  return plain.slice(0, 60) || "scotoma";
}
