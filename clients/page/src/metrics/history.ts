/** Makes rates and quantiles of counters that are read again and again. */

import { has, type Metrics, sum } from "./prometheus";

/** What was read at one time. */
export interface Reading {
  /** Milliseconds since 1970. */
  at: number;
  metrics: Metrics;
}

/** The last readings, the oldest first. */
export class History {
  readonly #most: number;
  readings: Reading[] = [];

  constructor(most: number) {
    this.#most = most;
  }

  /** Takes a reading. A server that was started anew counts from 0: what came before it says nothing any more. */
  add(reading: Reading): void {
    const last = this.readings.at(-1);
    const start = (of: Reading) => sum(of.metrics, "process_start_time_seconds");
    if (last !== undefined && start(last) !== start(reading)) this.readings = [];
    this.readings.push(reading);
    if (this.readings.length > this.#most) this.readings.shift();
  }

  get latest(): Reading | undefined {
    return this.readings.at(-1);
  }

  /** Times of the readings. */
  get times(): number[] {
    return this.readings.map(({ at }) => at);
  }

  /** A gauge at each reading; NaN where it was not there. */
  gauge(name: string, labels: Record<string, string> = {}): number[] {
    return this.readings.map(({ metrics }) => sum(metrics, name, labels) ?? NaN);
  }

  /** How much a counter grew in a second, at each reading since the one before; NaN at the first. */
  rate(name: string, labels: Record<string, string> = {}): number[] {
    return this.readings.map((reading, i) => {
      const before = this.readings[i - 1];
      if (before === undefined) return NaN;
      const seconds = (reading.at - before.at) / 1000;
      return grown(before, reading, (metrics) => sum(metrics, name, labels) ?? 0) / seconds;
    });
  }

  /** A quantile of a histogram over the last `seconds` before each reading; NaN where nothing came. */
  quantile(name: string, share: number, seconds: number, labels: Record<string, string> = {}): number[] {
    return this.readings.map((reading, i) => {
      const before = this.#before(i, seconds);
      return before === undefined ? NaN : quantile(bucketsBetween(before, reading, name, labels), share);
    });
  }

  /** The share of one counter in the sum of two over the last `seconds` before each reading; NaN where nothing came. */
  portion(one: string, other: string, seconds: number): number[] {
    return this.readings.map((reading, i) => {
      const before = this.#before(i, seconds);
      if (before === undefined) return NaN;
      const [a, b] = [one, other].map((name) => grown(before, reading, (metrics) => sum(metrics, name) ?? 0)) as [number, number];
      return a + b === 0 ? NaN : a / (a + b);
    });
  }

  /** Values of a label, in the order of their letters. */
  values(name: string, label: string): string[] {
    const found = this.latest?.metrics.get(name) ?? [];
    return [...new Set(found.map(({ labels }) => labels[label] ?? ""))].sort();
  }

  /** The oldest reading that is not older than `seconds` before the reading `i`, at least the one before it. */
  #before(i: number, seconds: number): Reading | undefined {
    const now = this.readings[i]?.at ?? 0;
    const found = this.readings.findIndex(({ at }) => now - at <= 1000 * seconds);
    return this.readings[Math.min(found, i - 1)];
  }
}

function grown(before: Reading, after: Reading, count: (metrics: Metrics) => number): number {
  return Math.max(0, count(after.metrics) - count(before.metrics));
}

/** A bucket of a histogram: how many were at most so much. */
interface Bucket {
  most: number;
  count: number;
}

function bucketsBetween(before: Reading, after: Reading, name: string, labels: Record<string, string>): Bucket[] {
  const counts = (reading: Reading) => {
    const sums = new Map<number, number>();
    for (const sample of reading.metrics.get(`${name}_bucket`) ?? []) {
      if (!has(sample, labels)) continue;
      const { le = "" } = sample.labels;
      const most = le === "+Inf" ? Infinity : Number(le);
      sums.set(most, (sums.get(most) ?? 0) + sample.value);
    }
    return sums;
  };
  const [then, now] = [counts(before), counts(after)];
  return [...now]
    .map(([most, count]) => ({ most, count: count - (then.get(most) ?? 0) }))
    .sort((a, b) => a.most - b.most);
}

/** Returns a quantile as Prometheus' `histogram_quantile` does: evenly spread within a bucket. */
export function quantile(buckets: Bucket[], share: number): number {
  const all = buckets.at(-1)?.count ?? 0;
  if (all <= 0) return NaN;
  const rank = share * all;
  let [below, least] = [0, 0];
  for (const { most, count } of buckets) {
    if (count >= rank) {
      return most === Infinity ? least : least + (most - least) * ((rank - below) / Math.max(count - below, 1e-9));
    }
    [below, least] = [count, most];
  }
  return least;
}
