import { expect, test } from "vitest";

import { readReport, wilson } from "../src/reports/read";

const read = async (name: string, text: string) => (await readReport(new File([text], name))).blocks;

test("Wilson's interval", () => {
  const { low, high } = wilson(8, 10);
  expect([low, high].map((one) => one.toFixed(4))).toEqual(["0.4902", "0.9433"]);
  expect(wilson(0, 0).low).toBeNaN();
});

test("metrics become bars, and stay a table", async () => {
  const blocks = await read("metrics.csv", 'variant,metric,value,low,high,most,n,unparsed\n"random, 0.1","accuracy",0.5,0.4,0.6,1,90,0\n"random, 0.1","accuracy: colour",0.1,0,0.2,1,9,0\n');
  expect(blocks[1]).toEqual({ is: "bars", name: "accuracy", bars: [{ name: "random, 0.1", value: 0.5, low: 0.4, high: 0.6, most: 1, n: 90 }] });
  expect(blocks[2]).toMatchObject({ is: "table", rows: [{ length: 8 }, { length: 8 }] });
  const [, bars] = await read("metrics.csv", "variant,metric,value,low,high,most,n,unparsed\nerrors alone,accuracy,,,,1,0,0\n");
  expect(bars).toMatchObject({ bars: [{ value: NaN, low: NaN, n: 0 }] });
});

test("results are counted, variant by variant, and against the first", async () => {
  const line = (id: string, variant: string, verdict: string) => `{"id":"${id}","variant":"${variant}","verdict":"VERDICT_${verdict}","aNewField":1}`;
  const failed = '{"id":"3","variant":"b","error":{"message":"no"}}';
  const text = [line("1", "a", "RIGHT"), line("2", "a", "WRONG"), line("1", "b", "UNPARSED"), line("2", "b", "RIGHT"), failed].join("\n");
  const blocks = await read("results.jsonl", text);
  expect(blocks[1]).toMatchObject({ is: "bars", bars: [{ name: "a", value: 0.5, n: 2 }, { name: "b", value: 0.5, n: 2 }] });
  expect(blocks[3]).toMatchObject({ rows: [["a", "2", "1", "0", "0", "", ""], ["b", "2", "1", "1", "1", "1", "1"]] });
});

test("items are a table, Markdown too", async () => {
  expect((await read("items.jsonl", '{"id":"1","by":{"a":true}}\n{"id":"2","x":3}\n'))[1]).toEqual({
    is: "table",
    head: ["id", "by", "x"],
    rows: [["1", '{"a":true}', ""], ["2", "", "3"]],
  });
  expect(await read("report.md", "# T\n\n| a | b |\n|---|---|\n| 1 | x \\| y |\n\ntext\n- one\n")).toEqual([
    { is: "heading", level: 1, text: "T" },
    { is: "table", head: ["a", "b"], rows: [["1", "x | y"]] },
    { is: "text", text: "text" },
    { is: "list", lines: ["one"] },
  ]);
});

test("what is no report says so", async () => {
  await expect(read("a.jsonl", "{\n")).rejects.toThrow("a.jsonl, line 1: it is no JSON");
  await expect(read("a.json", "{")).rejects.toThrow("it is no JSON");
  await expect(read("a.exe", "")).rejects.toThrow("a report is an .html");
});
