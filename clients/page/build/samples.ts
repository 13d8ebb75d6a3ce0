/** Takes a few questions out of the benchmark of the embedded model. */

/** A question with its picture, as a PNG in base64. */
export interface Sample {
  id: string;
  category: string;
  question: string;
  answer: string;
  png: string;
}

/** Questions of each category that the page offers. */
const OF_EACH = 2;

/** Returns the first questions of each category, those without options, of a table in VLMEvalKit's columns. */
export function samplesOf(tsv: string): Sample[] {
  const [head, ...lines] = tsv.trimEnd().split("\n").map((line) => line.split("\t"));
  const rows = lines.map((cells) => Object.fromEntries((head ?? []).map((name, at) => [name, cells[at] ?? ""])));
  const taken = new Map<string, number>();
  const samples: Sample[] = [];
  for (const row of rows) {
    const category = row["category"] ?? "";
    const count = taken.get(category) ?? 0;
    if (count >= OF_EACH || row["A"] !== "") continue;
    taken.set(category, count + 1);
    samples.push({
      id: row["index"] ?? "",
      category,
      question: row["question"] ?? "",
      answer: row["answer"] ?? "",
      png: row["image"] ?? "",
    });
  }
  return samples;
}
