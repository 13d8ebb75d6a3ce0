/** Draws numbers on a grid, over a picture or by themselves; to be read by pointer, keys, and as a table. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { csv } from "./csv";
import { fileName, save, savePng } from "./download";
import { overPicture, type Ramp, type Range, rangeOf, shareOf, written } from "./scale";
import "../styles/draw.css";

export interface HeatMapProps {
  /** What it shows, for those who hear it and for names of files. */
  label: string;
  rows: number;
  columns: number;
  /** Row by row. */
  values: ArrayLike<number>;
  ramp?: Ramp;
  /** What is told apart; what the values hold by default. */
  range?: Range;
  /** The address of a picture that lies below. */
  picture?: string | undefined;
  /** How a value is written. */
  write?: (value: number) => string;
  /** What a value is, in the legend. */
  unit: string;
  /** What a row and a column are called. */
  axes?: [string, string];
  /** Names a row or a column; its number from 0 by default. */
  nameOf?: (axis: 0 | 1, at: number) => string;
  /** The cell that is chosen. */
  chosen?: number | undefined;
  /** Takes the cell that is clicked, or entered on. */
  choose?: ((cell: number) => void) | undefined;
  /** Whether rows and columns have their names beside them. */
  ticks?: boolean;
  /** More to say of a cell. */
  more?: ((cell: number) => ComponentChildren) | undefined;
}

/** What rows, columns, and each of them are called. */
interface Names {
  axes: [string, string];
  nameOf: (axis: 0 | 1, at: number) => string;
}

const KEYS: Record<string, [number, number]> = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

/** Pixels of a picture that is saved. */
const SAVED_SIDE = 640;

export function HeatMap(props: HeatMapProps) {
  const { label, rows, columns, values, ramp = "heat", picture, write = written, unit, axes = ["row", "column"], chosen, choose } = props;
  const nameOf = props.nameOf ?? ((_: 0 | 1, at: number) => String(at));
  const range = props.range ?? rangeOf(values, ramp);
  const [at, setAt] = useState<number | undefined>(undefined);
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => paint(canvas.current, rows, columns, values, range, ramp), [rows, columns, values, range.low, range.high, ramp]);

  const cellName = (cell: number) => `${axes[0]} ${nameOf(0, Math.floor(cell / columns))}, ${axes[1]} ${nameOf(1, cell % columns)}`;
  const said = (cell: number) => `${cellName(cell)}: ${write(values[cell] ?? NaN)}`;
  const under = (event: PointerEvent | MouseEvent) => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const place = (share: number, count: number) => Math.min(count - 1, Math.max(0, Math.floor(share * count)));
    return place((event.clientY - box.top) / box.height, rows) * columns + place((event.clientX - box.left) / box.width, columns);
  };
  const onKey = (event: KeyboardEvent) => {
    const step = KEYS[event.key];
    const now = at ?? chosen ?? 0;
    if (step !== undefined) {
      event.preventDefault();
      const row = Math.min(rows - 1, Math.max(0, Math.floor(now / columns) + step[0]));
      const column = Math.min(columns - 1, Math.max(0, (now % columns) + step[1]));
      setAt(row * columns + column);
    } else if ((event.key === "Enter" || event.key === " ") && choose !== undefined) {
      event.preventDefault();
      choose(now);
    } else if (event.key === "Escape") setAt(undefined);
  };
  const keys = choose === undefined ? "Arrow keys read cells." : "Arrow keys read cells, Enter chooses one.";
  const frame = (
      <div
        class={`heat-frame ${picture === undefined ? "bare" : ""} ${choose === undefined ? "" : "choosable"}`}
        style={{ aspectRatio: props.ticks === true ? `${columns * 5} / ${rows * 3}` : `${columns} / ${rows}` }}
        role="application"
        aria-roledescription="heat map"
        aria-label={`${label}. ${rows} by ${columns} cells. ${keys}`}
        tabIndex={0}
        onKeyDown={onKey}
        onFocus={() => setAt((now) => now ?? chosen ?? 0)}
        onBlur={() => setAt(undefined)}
        onPointerMove={(event) => setAt(under(event))}
        onPointerLeave={() => setAt(undefined)}
        onClick={(event) => {
          setAt(under(event));
          choose?.(under(event));
        }}
      >
        {picture !== undefined && <img src={picture} alt="" draggable={false} />}
        <canvas ref={canvas} width={columns} height={rows} />
        {chosen !== undefined && <i class="heat-cell chosen" style={cellBox(chosen, rows, columns)} />}
        {at !== undefined && <i class="heat-cell" style={cellBox(at, rows, columns)} />}
        {at !== undefined && <span class={`tip ${tipSide(at, rows, columns)}`} style={tipPlace(at, rows, columns)}>{said(at)}{props.more?.(at)}</span>}
      </div>
  );
  return (
    <figure class="heatmap">
      {props.ticks === true ? <Ticks rows={rows} columns={columns} nameOf={nameOf} axes={axes}>{frame}</Ticks> : frame}
      <output class="unseen" aria-live="polite">
        {at === undefined ? "" : said(at)}
      </output>
      <figcaption>
        <Legend range={range} ramp={ramp} write={write} unit={unit} />
        <Downloads
          csv={() => csv([["", ...Array.from({ length: columns }, (_, i) => nameOf(1, i))], ...tableOf(props)])}
          png={(name) => savePicture(name, props, range)}
          label={label}
        />
      </figcaption>
      <details>
        <summary>As a table</summary>
        <div class="scroll" tabIndex={0} role="region" aria-label={`${label}, as a table`}>
          <PlainTable props={props} nameOf={nameOf} axes={axes} write={write} />
        </div>
      </details>
    </figure>
  );
}

/** Writes the names of rows and columns beside a map, as many as have room. */
function Ticks({ rows, columns, nameOf, axes, children }: Names & { rows: number; columns: number; children: ComponentChildren }) {
  const names = (axis: 0 | 1, count: number) => {
    const every = Math.ceil(count / 16);
    return Array.from({ length: count }, (_, at) => <span key={at}>{at % every === 0 ? nameOf(axis, at) : ""}</span>);
  };
  return (
    <div class="ticked" style={{ maxWidth: `${Math.max(160, columns * TICKED_CELL + 48)}px` }}>
      <span class="tick-title down" aria-hidden="true">
        {axes[0]}
      </span>
      <div class="ticks down" aria-hidden="true">
        {names(0, rows)}
      </div>
      {children}
      <div class="ticks across" aria-hidden="true">
        {names(1, columns)}
      </div>
      <span class="tick-title across" aria-hidden="true">
        {axes[1]}
      </span>
    </div>
  );
}

/** Widest cell of a map without a picture. */
const TICKED_CELL = 40;

function PlainTable({ props, nameOf, axes, write }: Names & { props: HeatMapProps; write: (value: number) => string }) {
  const { rows, columns, values, label } = props;
  return (
    <table class="plain">
      <caption class="unseen">{label}</caption>
      <thead>
        <tr>
          <th scope="col">
            {axes[0]} \ {axes[1]}
          </th>
          {Array.from({ length: columns }, (_, column) => (
            <th key={column} scope="col" class="number">
              {nameOf(1, column)}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {Array.from({ length: rows }, (_, row) => (
          <tr key={row}>
            <th scope="row">{nameOf(0, row)}</th>
            {Array.from({ length: columns }, (_, column) => (
              <td key={column} class="number">
                {write(values[row * columns + column] ?? NaN)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function tableOf({ rows, columns, values, nameOf }: HeatMapProps): (string | number)[][] {
  return Array.from({ length: rows }, (_, row) => [
    nameOf?.(0, row) ?? String(row),
    ...Array.from({ length: columns }, (_, column) => values[row * columns + column] ?? NaN),
  ]);
}

const cellBox = (cell: number, rows: number, columns: number) => ({
  left: `${(100 * (cell % columns)) / columns}%`,
  top: `${(100 * Math.floor(cell / columns)) / rows}%`,
  width: `${100 / columns}%`,
  height: `${100 / rows}%`,
});

const tipPlace = (cell: number, rows: number, columns: number) => {
  const row = Math.floor(cell / columns);
  const below = row < rows / 2;
  return { left: `${(100 * ((cell % columns) + 0.5)) / columns}%`, top: `${(100 * (below ? row + 1 : row)) / rows}%` };
};

const tipSide = (cell: number, rows: number, columns: number) => {
  const across = ((cell % columns) + 0.5) / columns;
  return `${Math.floor(cell / columns) < rows / 2 ? "below" : "above"} ${across < 0.34 ? "right" : across > 0.66 ? "left" : ""}`;
};

/** Paints a cell a pixel; the style sheet makes them larger. */
function paint(canvas: HTMLCanvasElement | null, rows: number, columns: number, values: ArrayLike<number>, range: Range, ramp: Ramp): void {
  const context = canvas?.getContext("2d");
  if (!context || rows === 0 || columns === 0) return;
  const pixels = context.createImageData(columns, rows);
  for (let i = 0; i < rows * columns; i += 1) {
    const [red, green, blue, alpha] = overPicture(shareOf(values[i] ?? NaN, range, ramp), ramp);
    pixels.data.set([red, green, blue, Math.round(255 * alpha)], 4 * i);
  }
  context.putImageData(pixels, 0, 0);
}

async function savePicture(name: string, { rows, columns, values, ramp = "heat", picture }: HeatMapProps, range: Range): Promise<void> {
  const scale = SAVED_SIDE / Math.max(rows, columns);
  const [width, height] = [columns * scale, rows * scale];
  await savePng(name, width, height, async (context) => {
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, height);
    if (picture !== undefined) {
      const image = new Image();
      image.src = picture;
      await image.decode();
      context.filter = "grayscale(0.85)";
      context.drawImage(image, 0, 0, width, height);
      context.filter = "none";
    }
    const cells = document.createElement("canvas");
    [cells.width, cells.height] = [columns, rows];
    paint(cells, rows, columns, values, range, ramp);
    context.imageSmoothingEnabled = false;
    context.drawImage(cells, 0, 0, width, height);
  });
}

/** Says which colour is which value. */
export function Legend({ range, ramp, write, unit }: { range: Range; ramp: Ramp; write: (value: number) => string; unit: string }) {
  const stops = Array.from({ length: 9 }, (_, i) => {
    const share = ramp === "heat" ? i / 8 : (i - 4) / 4;
    const [red, green, blue, alpha] = overPicture(share, ramp);
    return `rgb(${red} ${green} ${blue} / ${alpha.toFixed(2)})`;
  });
  return (
    <div class="legend">
      <span>{write(range.low)}</span>
      <i style={{ background: `linear-gradient(to right, ${stops.join(", ")})` }} />
      <span>{write(range.high)}</span>
      <span class="faint">{unit}</span>
    </div>
  );
}

/** Offers a drawing as CSV and PNG. */
export function Downloads(props: { label: string; csv: () => string; png?: (name: string) => Promise<void> }) {
  const name = fileName(props.label);
  return (
    <span class="row downloads">
      <button type="button" class="small quiet" aria-label={`Download CSV: ${props.label}`} onClick={() => save(`${name}.csv`, props.csv(), "text/csv")}>
        CSV
      </button>
      {props.png !== undefined && (
        <button type="button" class="small quiet" aria-label={`Download PNG: ${props.label}`} onClick={() => void props.png?.(`${name}.png`)}>
          PNG
        </button>
      )}
    </span>
  );
}
