/**
 * Splits tables into rows, as csv-core does on the server: cells may be quoted, a quote within a plain cell is a letter, what follows a
 * closing quote belongs to the cell, empty lines are none.
 */

/** A row of a table. */
export interface TextRow {
  cells: string[];
  /** As it stands in the file, its end included. */
  raw: string;
  /** The line on which it begins, from 1. */
  line: number;
}

/** Yields the rows of a table one by one. */
export function* textRows(text: string, delimiter: string): Generator<TextRow> {
  let at = text.startsWith("\uFEFF") ? 1 : 0;
  let line = 1;
  while (at < text.length) {
    if (text[at] === "\n" || text[at] === "\r") {
      if (text[at] === "\n") line += 1;
      at += 1;
      continue;
    }
    const cells: string[] = [];
    let end = at;
    for (;;) {
      const [cell, after] = cellAt(text, end, delimiter);
      cells.push(cell);
      end = after;
      if (text[end] !== delimiter) break;
      end += 1;
    }
    if (text[end] === "\r") end += 1;
    if (text[end] === "\n") end += 1;
    const raw = text.slice(at, end);
    yield { cells, raw, line };
    line += newlines(raw);
    at = end;
  }
}

/** Returns the cell that begins at `start`, and where it ends. */
function cellAt(text: string, start: number, delimiter: string): [string, number] {
  if (text[start] !== '"') {
    const end = plainEnd(text, start, delimiter);
    return [text.slice(start, end), end];
  }
  let cell = "";
  let at = start + 1;
  for (;;) {
    const quote = text.indexOf('"', at);
    if (quote < 0) return [cell + text.slice(at), text.length];
    cell += text.slice(at, quote);
    if (text[quote + 1] !== '"') {
      at = quote + 1;
      break;
    }
    cell += '"';
    at = quote + 2;
  }
  const end = plainEnd(text, at, delimiter);
  return [cell + text.slice(at, end), end];
}

/** Returns where a cell without quotes ends: a cell of a picture is long, and regular expressions are quick. */
function plainEnd(text: string, start: number, delimiter: string): number {
  const stop = delimiter === "\t" ? TAB_STOP : COMMA_STOP;
  stop.lastIndex = start;
  return stop.exec(text)?.index ?? text.length;
}

const TAB_STOP = /[\t\r\n]/g;
const COMMA_STOP = /[,\r\n]/g;

function newlines(text: string): number {
  let count = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) count += 1;
  return count;
}
