import { expect, test } from "vitest";

import { niceTop } from "../src/draw/chart";
import { csv } from "../src/draw/csv";
import { overPicture, percent, rangeOf, shareOf, signed, written } from "../src/draw/scale";

test("a range leaves out what is no number, and has 0 in it", () => {
  expect(rangeOf([0.5, NaN, 2])).toEqual({ low: 0, high: 2 });
  expect(rangeOf([-1, 3], "change")).toEqual({ low: -3, high: 3 });
  expect(rangeOf([NaN])).toEqual({ low: 0, high: 0 });
});

test("shares stay in their bounds", () => {
  expect(shareOf(5, { low: 0, high: 2 })).toBe(1);
  expect(shareOf(-9, { low: -3, high: 3 }, "change")).toBe(-1);
  expect(shareOf(1, { low: 0, high: 0 })).toBe(0);
  expect(shareOf(NaN, { low: 0, high: 1 })).toBeNaN();
});

test("nothing is transparent, more is more opaque", () => {
  expect(overPicture(0, "heat")[3]).toBe(0);
  expect(overPicture(0.3, "heat")[3]).toBeLessThan(overPicture(0.9, "heat")[3]);
  expect(overPicture(1, "change")).not.toEqual(overPicture(-1, "change"));
  expect(overPicture(NaN, "heat")[3]).toBe(0.5);
});

test("numbers are written with few digits", () => {
  expect([0, 0.00012, 0.0123, -1.234, 12.34, 1234, NaN].map(written)).toEqual(["0", "1.2e-4", "0.012", "−1.23", "12.3", "1234", "–"]);
  expect([0, 0.0001, 0.5, 1, -2].map(percent)).toEqual(["0 %", "< 0.1 %", "50.0 %", "100 %", "−200 %"]);
  expect([signed(1.5), signed(-1.5), signed(0)]).toEqual(["+1.50", "−1.50", "0"]);
});

test("cells are quoted where they must be", () => {
  expect(csv([["a", 1], ['say "no"', "b,c"]])).toBe('a,1\n"say ""no""","b,c"\n');
  expect(csv([["a,b", "c\td"]], "\t")).toBe('a,b\t"c\td"\n');
});

test("the top of a chart is a round number", () => {
  expect([0, 0.0031, 1.2, 7, 10].map(niceTop)).toEqual([1, 0.005, 2, 10, 10]);
});
