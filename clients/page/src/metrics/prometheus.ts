/** Reads the text format of Prometheus. */

/** One line: a number with its labels. */
export interface Sample {
  labels: Record<string, string>;
  value: number;
}

/** Samples by the name that stands before them, `_bucket`, `_sum` and `_count` included. */
export type Metrics = Map<string, Sample[]>;

const LINE = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?\s*$/;
const LABEL = /([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"\s*,?\s*/y;
const ESCAPES: Record<string, string> = { n: "\n", '"': '"', "\\": "\\" };

/** Parses a page of metrics; lines that are none of the format are passed over. */
export function parseMetrics(text: string): Metrics {
  const metrics: Metrics = new Map();
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const [, name, labels = "", value = ""] = LINE.exec(line) ?? [];
    if (name === undefined) continue;
    const samples = metrics.get(name) ?? [];
    samples.push({ labels: parseLabels(labels), value: number(value) });
    metrics.set(name, samples);
  }
  return metrics;
}

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  for (let found = LABEL.exec(text); found !== null; found = LABEL.exec(text)) {
    const [, name = "", value = ""] = found;
    labels[name] = value.replaceAll(/\\(.)/g, (_, escaped: string) => ESCAPES[escaped] ?? escaped);
  }
  return labels;
}

function number(text: string): number {
  if (text === "+Inf") return Infinity;
  if (text === "-Inf") return -Infinity;
  return Number(text);
}

/** Whether a sample has all of these labels. */
export function has(sample: Sample, labels: Record<string, string>): boolean {
  return Object.entries(labels).every(([name, value]) => sample.labels[name] === value);
}

/** Returns the sum over samples of a name that have these labels; undefined where there is none. */
export function sum(metrics: Metrics, name: string, labels: Record<string, string> = {}): number | undefined {
  const found = (metrics.get(name) ?? []).filter((sample) => has(sample, labels));
  return found.length === 0 ? undefined : found.reduce((all, { value }) => all + value, 0);
}

/** Returns sums by the values of one label. */
export function by(metrics: Metrics, name: string, label: string): Map<string, number> {
  const sums = new Map<string, number>();
  for (const { labels, value } of metrics.get(name) ?? []) {
    const of = labels[label] ?? "";
    sums.set(of, (sums.get(of) ?? 0) + value);
  }
  return sums;
}
