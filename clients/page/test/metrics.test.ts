import { expect, test } from "vitest";

import { History, quantile } from "../src/metrics/history";
import { by, parseMetrics, sum } from "../src/metrics/prometheus";

const page = `# HELP scotoma_requests_total Requests, counted when their stream ends.
# TYPE scotoma_requests_total counter
scotoma_requests_total{method="Generate",model="a\\"b\\\\c",code="Ok"} 3
scotoma_requests_total{method="Score",model="a",code="Ok"} 4
scotoma_requests_total{method="Score",model="a",code="NotFound"} 1

process_start_time_seconds 1.7e9
scotoma_wait_seconds_bucket{le="+Inf"} 5
what is this
scotoma_nothing NaN
`;

test("labels, escapes, infinities, and lines of no format", () => {
  const metrics = parseMetrics(page);
  expect(metrics.get("scotoma_requests_total")?.[0]).toEqual({ labels: { method: "Generate", model: 'a"b\\c', code: "Ok" }, value: 3 });
  expect(sum(metrics, "scotoma_requests_total")).toBe(8);
  expect(sum(metrics, "scotoma_requests_total", { code: "Ok" })).toBe(7);
  expect(sum(metrics, "scotoma_other")).toBeUndefined();
  expect([...by(metrics, "scotoma_requests_total", "method")]).toEqual([["Generate", 3], ["Score", 5]]);
  expect(metrics.get("scotoma_wait_seconds_bucket")?.[0]?.labels["le"]).toBe("+Inf");
  expect(metrics.has("what")).toBe(false);
});

const reading = (at: number, text: string, start = 1) => ({ at: 1000 * at, metrics: parseMetrics(`process_start_time_seconds ${start}\n${text}`) });

test("rates are what a counter grew by in a second", () => {
  const history = new History(3);
  for (const [at, value] of [[0, 5], [2, 9], [4, 9], [5, 12]] as const) history.add(reading(at, `c ${value}`));
  expect(history.rate("c")).toEqual([NaN, 0, 3]);
  expect(history.times).toEqual([2000, 4000, 5000]);
});

test("a server that was started anew begins a history", () => {
  const history = new History(9);
  history.add(reading(0, "c 100"));
  history.add(reading(2, "c 1", 2));
  expect(history.rate("c")).toEqual([NaN]);
});

test("quantiles of what came in a window", () => {
  const buckets = (a: number, b: number, all: number) => `h_bucket{le="1"} ${a}\nh_bucket{le="2"} ${b}\nh_bucket{le="+Inf"} ${all}`;
  const history = new History(9);
  history.add(reading(0, buckets(10, 10, 10)));
  history.add(reading(2, buckets(10, 14, 14)));
  history.add(reading(4, buckets(10, 14, 14)));
  const [first, second, third] = history.quantile("h", 0.5, 60);
  expect([first, second, third]).toEqual([NaN, 1.5, 1.5]);
  expect(history.quantile("h", 0.5, 1)[2]).toBeNaN();
  expect(quantile([{ most: 1, count: 0 }, { most: Infinity, count: 4 }], 0.9)).toBe(1);
});

test("a portion of two counters", () => {
  const history = new History(9);
  history.add(reading(0, "hits 0\nmisses 0"));
  history.add(reading(2, "hits 3\nmisses 1"));
  expect(history.portion("hits", "misses", 60)).toEqual([NaN, 0.75]);
});
