/** Reads and writes lists of numbers as people do: `0, 3-5`. */

const PIECE = /^(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?:\s*-\s*(\d+))?$/i;
const MOST = 65_536;

/** Returns the numbers of a text, or what is wrong with it. */
export function parseNumbers(text: string, whole: boolean): number[] | string {
  const numbers: number[] = [];
  for (const piece of text.split(/[\s,;]+(?![\s,;-])/).map((each) => each.trim()).filter((each) => each !== "")) {
    const [, first, last] = PIECE.exec(piece) ?? [];
    const from = Number(first);
    const to = last === undefined ? from : Number(last);
    if (first === undefined || (whole && (!Number.isInteger(from) || from < 0))) return `${piece}: not a ${whole ? "whole " : ""}number`;
    if (last !== undefined && (!whole || to < from)) return `${piece}: not a range`;
    if (numbers.length + to - from > MOST) return `more than ${MOST} numbers`;
    if (last === undefined) numbers.push(from);
    else for (let number = from; number <= to; number += 1) numbers.push(number);
  }
  return numbers;
}

/** Returns whole numbers as a text with ranges, others one by one. */
export function writeNumbers(numbers: readonly number[]): string {
  const pieces: string[] = [];
  for (let at = 0; at < numbers.length; ) {
    const first = numbers[at] as number;
    let end = at + 1;
    while (Number.isInteger(first) && numbers[end] === first + end - at) end += 1;
    if (end - at > 2) pieces.push(`${first}-${first + end - at - 1}`);
    else pieces.push(...numbers.slice(at, end).map(String));
    at = end;
  }
  return pieces.join(", ");
}
