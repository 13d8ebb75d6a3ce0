/** Writes tables for other programs. */

/** Quotes a cell where it must be. */
function cell(value: string | number, delimiter: string): string {
  const text = String(value);
  return text.includes(delimiter) || /["\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Returns rows as CSV, or with another delimiter. */
export function csv(rows: (string | number)[][], delimiter = ","): string {
  return rows.map((row) => `${row.map((one) => cell(one, delimiter)).join(delimiter)}\n`).join("");
}
