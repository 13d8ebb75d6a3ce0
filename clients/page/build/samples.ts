/** Takes a few questions out of the benchmark of the embedded model. */

/** A question with its picture, as a PNG in base64. */
export interface Sample {
  id: string;
  category: string;
  question: string;
  answer: string;
  png: string;
}

/** Ids of the questions that the page offers: two of each category, of the kinds of pictures that there are. */
const CHOSEN = ["6", "30", "7", "31", "16", "22", "9", "33", "32", "26", "5", "17"];

/** Returns the chosen questions of a table in VLMEvalKit's columns. */
export function samplesOf(tsv: string): Sample[] {
  const [head, ...lines] = tsv.trimEnd().split("\n").map((line) => line.split("\t"));
  const rows = lines.map((cells) => Object.fromEntries((head ?? []).map((name, at) => [name, cells[at] ?? ""])));
  return CHOSEN.map((id) => {
    const row = rows.find(({ index }) => index === id);
    if (row === undefined || row["A"] !== "") throw new Error(`the benchmark has no question ${id} without options`);
    const { category = "", question = "", answer = "", image: png = "" } = row;
    return { id, category, question, answer, png };
  });
}
