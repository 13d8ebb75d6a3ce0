/** Knows the usual names of columns, to show a row and to know its id again. What they mean for the answer is the server's business. */

/** Names by part, the most usual first, in lower case with `_` for spaces: those of docs/benchmark-tables.md. */
const NAMES = {
  id: ["index", "id", "pid", "question_id", "qid", "sample_id"],
  question: ["question", "query", "prompt", "text"],
  image: [
    "decoded_image", "image", "images", "img", "picture", "pictures", "image_bytes", "image_base64", "image_path", "image_paths",
    "img_path", "image_file", "file_name", "filename", "image_1", "image1",
  ],
  answer: [
    "answer", "answers", "correct_answer", "correct_choice", "correct_option", "label", "ground_truth", "gt_answer", "gt", "target",
    "gpt_answer", "gpt4_ans", "reference",
  ],
  category: ["category", "type", "capability"],
} as const;

/** A part of a question. */
export type Part = keyof typeof NAMES;

/** A row by the names of its columns. */
export type Cells = Record<string, unknown>;

const normal = (name: string) => name.trim().toLowerCase().replaceAll(/[ -]/g, "_");

const isEmpty = (value: unknown) => value === undefined || value === null || value === "" || (Array.isArray(value) && value.length === 0);

/** Returns the cell of a part: that of the first known column that holds something, or of the one that `given` names. */
export function partOf(cells: Cells, part: Part, given?: string): unknown {
  if (given !== undefined) return cells[given];
  let [best, found]: [number, unknown] = [Infinity, undefined];
  for (const [name, value] of Object.entries(cells)) {
    const rank = (NAMES[part] as readonly string[]).indexOf(normal(name));
    if (rank >= 0 && rank < best && !isEmpty(value)) [best, found] = [rank, value];
  }
  return found;
}

/** Returns a cell as text. */
export function asText(value: unknown): string {
  if (value === undefined || value === null) return "";
  if (typeof value === "object") return JSON.stringify(value, (_, one: unknown) => (typeof one === "bigint" ? Number(one) : one));
  return String(value);
}

/** Returns the id that the server gives a row: what stands there, or its place from 0. */
export function idOf(cells: Cells, number: number, given?: string): string {
  const id = asText(partOf(cells, "id", given)).trim();
  return id === "" ? String(number - 1) : id;
}

/** Returns the options of a row in a few words. */
export function optionsOf(cells: Cells): string {
  const own = Object.entries(cells).filter(([name, value]) => /^[A-H]$/.test(name.trim()) && !isEmpty(value));
  if (own.length > 0) return own.map(([name, value]) => `${name}. ${asText(value)}`).join("  ");
  return asText(Object.entries(cells).find(([name, value]) => /^(options|choices)$/.test(normal(name)) && !isEmpty(value))?.[1]);
}
