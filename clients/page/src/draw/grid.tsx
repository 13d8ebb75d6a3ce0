/** Draws a table of words or numbers whose shades say how much: layers by positions. */

import { useRef, useState } from "preact/hooks";

import { csv } from "./csv";
import { savePng } from "./download";
import { Downloads } from "./heatmap";
import "../styles/draw.css";

/** What stands in a cell. */
export interface Cell {
  text: string;
  /** How much, 0 to 1; of changes -1 to 1. NaN: nothing is known. */
  share: number;
  /** What it is in full. */
  said: string;
  /** What a file has in its place; the text by default. */
  value?: string | number;
}

export interface GridProps {
  label: string;
  /** What a row is called, such as layer. */
  corner: string;
  rowNames: string[];
  columnNames: string[];
  cell: (row: number, column: number) => Cell;
  ramp?: "heat" | "change";
  /** Hears which cell is read. */
  read?: (row: number, column: number) => void;
}

const KEYS: Record<string, [number, number]> = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

export function Grid({ label, corner, rowNames, columnNames, cell, ramp = "heat", read }: GridProps) {
  const [[row, column], setAt] = useState<[number, number]>([0, columnNames.length - 1]);
  const table = useRef<HTMLTableElement>(null);
  const at: [number, number] = [Math.min(row, rowNames.length - 1), Math.min(column, columnNames.length - 1)];
  const go = (to: [number, number]) => {
    setAt(to);
    read?.(...to);
  };
  const onKey = (event: KeyboardEvent) => {
    const step = KEYS[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const bound = (value: number, count: number) => Math.min(count - 1, Math.max(0, value));
    const to: [number, number] = [bound(at[0] + step[0], rowNames.length), bound(at[1] + step[1], columnNames.length)];
    go(to);
    table.current?.querySelectorAll<HTMLElement>("tbody tr")[to[0]]?.querySelectorAll<HTMLElement>("td")[to[1]]?.focus();
  };
  const rows = () => [[corner, ...columnNames], ...rowNames.map((name, r) => [name, ...columnNames.map((_, c) => valueOf(cell(r, c)))])];
  return (
    <figure class="grid-figure">
      <div class="scroll">
        <table class="shades" role="grid" aria-label={label} ref={table} onKeyDown={onKey}>
          <thead>
            <tr>
              <th scope="col">{corner}</th>
              {columnNames.map((name, c) => (
                <th key={c} scope="col">
                  <span>{name}</span>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rowNames.map((name, r) => (
              <tr key={r}>
                <th scope="row">{name}</th>
                {columnNames.map((_, c) => {
                  const { text, share, said } = cell(r, c);
                  return (
                    <td
                      key={c}
                      role="gridcell"
                      tabIndex={r === at[0] && c === at[1] ? 0 : -1}
                      class={shadeClass(share, ramp)}
                      style={{ "--much": Number.isNaN(share) ? 0 : Math.abs(share).toFixed(3) }}
                      title={said}
                      aria-label={said}
                      onFocus={() => go([r, c])}
                      onPointerEnter={() => read?.(r, c)}
                    >
                      {text}
                    </td>
                  );
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <Downloads label={label} csv={() => csv(rows())} png={(name) => saveGrid(name, { label, corner, rowNames, columnNames, cell, ramp })} />
    </figure>
  );
}

const valueOf = ({ value, text }: Cell) => value ?? text;

const shadeClass = (share: number, ramp: "heat" | "change") => (ramp === "heat" ? "heat" : share < 0 ? "less" : "more");

const [CELL_WIDTH, CELL_HEIGHT, NAME_WIDTH] = [64, 22, 96];

/** Hues of a file, which is light whatever the page is. */
const HUES = { heat: [214, 128, 0], more: [26, 115, 232], less: [206, 62, 40] } as const;

async function saveGrid(name: string, { corner, rowNames, columnNames, cell, ramp = "heat" }: GridProps): Promise<void> {
  const [width, height] = [NAME_WIDTH + CELL_WIDTH * columnNames.length, CELL_HEIGHT * (rowNames.length + 1)];
  await savePng(name, width, height, (context) => {
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, height);
    context.font = "12px system-ui, sans-serif";
    context.textBaseline = "middle";
    const write = (text: string, x: number, y: number, room: number) => {
      let short = text;
      while (short.length > 1 && context.measureText(short).width > room) short = `${short.slice(0, -2)}…`;
      context.fillStyle = "#1c1f26";
      context.fillText(short, x, y);
    };
    write(corner, 4, CELL_HEIGHT / 2, NAME_WIDTH - 8);
    columnNames.forEach((text, c) => write(text, NAME_WIDTH + CELL_WIDTH * c + 4, CELL_HEIGHT / 2, CELL_WIDTH - 8));
    rowNames.forEach((text, r) => {
      const y = CELL_HEIGHT * (r + 1);
      write(text, 4, y + CELL_HEIGHT / 2, NAME_WIDTH - 8);
      columnNames.forEach((_, c) => {
        const { text: inside, share } = cell(r, c);
        const x = NAME_WIDTH + CELL_WIDTH * c;
        const [red, green, blue] = HUES[shadeClass(share, ramp)];
        context.fillStyle = `rgb(${red} ${green} ${blue} / ${Number.isNaN(share) ? 0 : 0.7 * Math.abs(share)})`;
        context.fillRect(x, y, CELL_WIDTH - 1, CELL_HEIGHT - 1);
        write(inside, x + 4, y + CELL_HEIGHT / 2, CELL_WIDTH - 8);
      });
    });
  });
}
