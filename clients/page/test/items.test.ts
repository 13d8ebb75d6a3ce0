import { create } from "@bufbuild/protobuf";
import { SampleResultSchema, Verdict } from "scotoma/v1";
import { expect, test } from "vitest";

import { Collected, type Item, OPEN, passes, sorted } from "../src/items/analysis";
import { idOf, optionsOf, partOf } from "../src/items/columns";
import { textRows } from "../src/items/rows";
import { kept, message, readTable } from "../src/items/table";

const none = new Map<string, File>();

test("rows are split as csv-core splits them", () => {
  const text = '\uFEFFa\tb\r\n1\t"x ""y""\n2"\n\n3\tplain "quote"\n"q"uoted\t\n"open';
  const rows = [...textRows(text, "\t")];
  expect(rows.map(({ cells }) => cells)).toEqual([["a", "b"], ["1", 'x "y"\n2'], ["3", 'plain "quote"'], ["quoted", ""], ["open"]]);
  expect(rows.map(({ line }) => line)).toEqual([1, 2, 5, 6, 7]);
  expect(rows.map(({ raw }) => raw).join("")).toBe(text.slice(1).replace("\n\n", "\n"));
});

test("a long table is read quickly", () => {
  const picture = "iVBORw0KGgo".repeat(9000);
  const text = Array.from({ length: 300 }, (_, i) => `${i}\t${picture}\tIs it?\tno\n`).join("");
  const start = performance.now();
  expect([...textRows(text, "\t")].length).toBe(300);
  expect(performance.now() - start).toBeLessThan(3000);
});

test("parts are found by their usual names, the id as the server does", () => {
  const cells = { Index: "", "Question ID": "q7", Query: "Which?", A: "red", B: "blue", label: "B" };
  expect(idOf(cells, 4)).toBe("q7");
  expect(idOf({ question: "?" }, 4)).toBe("3");
  expect([partOf(cells, "question"), partOf(cells, "answer"), optionsOf(cells)]).toEqual(["Which?", "B", "A. red  B. blue"]);
});

const tsv = "index\timage\tquestion\tanswer\textra\n0\tAAAA\tIs it?\tno\tx\r\n1\t0\tAnd?\tyes\t\"a\tb\"\n2\tBBBB\tSo?\tno\t";

test("kept rows stand as they came, a picture of a row that is left out is written in", async () => {
  const table = await readTable(new File([tsv], "t.tsv"));
  expect(table.rows.map(({ id }) => id)).toEqual(["0", "1", "2"]);
  const of = (...places: number[]) => kept(table, table.rows.filter((_, i) => places.includes(i))).parts.join("");
  expect(of(0, 1, 2)).toBe(`${tsv}\n`);
  expect(of(2)).toBe("index\timage\tquestion\tanswer\textra\n2\tBBBB\tSo?\tno\t\n");
  expect(of(1)).toBe('index\timage\tquestion\tanswer\textra\n1\tAAAA\tAnd?\tyes\t"a\tb"\n');
});

test("rows as the server takes them", async () => {
  const table = await readTable(new File([tsv], "t.tsv"));
  const row = await message(table, table.rows[1]!, none);
  expect([row.number, row.line, row.cells["image"]]).toEqual([2n, 3n, "AAAA"]);
  const manifest = await readTable(new File(['{"id":"a","image":"p/x.png","v":NaN}\n\n{"id":"b"}\n'], "t.jsonl"));
  const files = new Map([["x.png", new File(["abc"], "x.png")]]);
  const first = await message(manifest, manifest.rows[0]!, files);
  expect([first.json, first.files["p/x.png"]?.length]).toEqual(['{"id":"a","image":"p/x.png","v":NaN}', 3]);
  expect(kept(manifest, manifest.rows.slice(1))).toEqual({ name: "kept.jsonl", parts: ['{"id":"b"}\n'] });
});

test("what is no table says so", async () => {
  await expect(readTable(new File(["a\tb\n1\n"], "t.tsv"))).rejects.toThrow("t.tsv, line 2: 1 cells, where 2 columns have names");
  await expect(readTable(new File(["[1]\n"], "t.jsonl"))).rejects.toThrow("t.jsonl, line 1: it is no JSON object");
  await expect(readTable(new File(["a\tb\n"], "t.tsv"))).rejects.toThrow("there are no rows");
  await expect(readTable(new File([""], "t.xls"))).rejects.toThrow(".parquet is needed");
});

const result = (id: string, answer: string, right: boolean) =>
  create(SampleResultSchema, { id, answer, verdict: right ? Verdict.RIGHT : Verdict.WRONG });

test("numbers of a question by hand", () => {
  const all = new Collected();
  all.add("as it is", "plain", result("1", "no", true));
  all.add("black", "unseen", result("1", "no", true));
  all.add("no tokens", "unseen", result("1", "yes", false));
  all.add("permuted 1", "changed", result("1", "no", true));
  all.add("sampled 1", "sampled", result("1", "yes", false));
  const item = all.items.get("1")!;
  expect([item.need, item.stability, item.difficulty, item.right]).toEqual([0.5, 0.5, 0.5, true]);
  all.add("as it is", "plain", result("2", "no", false));
  all.add("black", "unseen", result("2", "no", false));
  expect(all.items.get("2")?.need).toBe(0);
  expect(all.items.get("2")?.stability).toBeNaN();
  expect([all.has("2", "black"), all.has("2", "permuted 1")]).toEqual([true, false]);
});

const item = (need: number, difficulty = 0) => ({ need, difficulty, stability: 1, answer: "a", right: difficulty < 1 }) as Item;

test("orders and filters", () => {
  const items = [item(0.5), undefined, item(1), item(0.5)];
  expect(sorted(items, "need", true)).toEqual([2, 0, 3, 1]);
  expect(sorted(items, "need", false)).toEqual([0, 3, 2, 1]);
  expect(sorted(items, "file", true)).toEqual([3, 2, 1, 0]);
  expect(passes({ ...OPEN, words: "RED" }, "Is it red?", "c", undefined)).toBe(true);
  expect(passes({ ...OPEN, need: 0.6 }, "", "", item(0.5))).toBe(false);
  expect(passes({ ...OPEN, need: 0.6 }, "", "", undefined)).toBe(false);
  expect(passes({ ...OPEN, right: "wrong" }, "", "", item(0, 1))).toBe(true);
  expect(passes({ ...OPEN, difficulty: 0.5 }, "", "", item(0, 1))).toBe(false);
});
