/** Draws numbers over time as lines; to be read by pointer, keys, and as a table. */

import { useState } from "preact/hooks";

import { csv } from "./csv";
import { Downloads } from "./heatmap";
import "../styles/draw.css";

/** A line. */
export interface Series {
  name: string;
  values: number[];
}

export interface ChartProps {
  label: string;
  /** Milliseconds since 1970, one for each value. */
  times: number[];
  series: Series[];
  write: (value: number) => string;
  /** What is the top at least. */
  most?: number;
  /** Whether round numbers are those of bytes. */
  binary?: boolean;
}

const [WIDTH, HEIGHT, LEFT, TOP, BOTTOM] = [480, 150, 64, 8, 20];
/** What tells lines apart beside their hue. */
export const DASHES = ["", "6 3", "2 3", "9 3 2 3", "1 5", "12 4"];

export function Chart({ label, times, series, write, most = 0, binary = false }: ChartProps) {
  const [at, setAt] = useState<number | undefined>(undefined);
  const shown = at === undefined ? times.length - 1 : Math.min(at, times.length - 1);
  const largest = Math.max(most, ...series.flatMap(({ values }) => values.filter(Number.isFinite)));
  const unit = binary && largest > 0 ? 1024 ** Math.floor(Math.log2(largest) / 10) : 1;
  const top = unit * niceTop(largest / unit);
  const [first = 0, last = 0] = [times[0], times.at(-1)];
  const x = (time: number) => LEFT + ((WIDTH - LEFT - 4) * (time - first)) / Math.max(last - first, 1);
  const y = (value: number) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top);
  const nearest = (event: PointerEvent) => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    const time = first + (((event.clientX - box.left) / box.width) * WIDTH - LEFT) * (Math.max(last - first, 1) / (WIDTH - LEFT - 4));
    return times.reduce((best, one, i) => (Math.abs(one - time) < Math.abs((times[best] ?? 0) - time) ? i : best), 0);
  };
  const onKey = (event: KeyboardEvent) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    setAt(Math.min(times.length - 1, Math.max(0, shown + step)));
  };
  const said = `${clock(times[shown] ?? 0)}: ${series.map(({ name, values }) => `${name} ${write(values[shown] ?? NaN)}`).join(", ")}`;
  return (
    <figure class="chart">
      <figcaption class="row spread">
        <h2>{label}</h2>
        <Downloads label={label} csv={() => csvOf(times, series)} />
      </figcaption>
      <div
        class="chart-frame"
        role="application"
        aria-roledescription="chart"
        aria-label={`${label}. Arrow keys read times.`}
        tabIndex={0}
        onKeyDown={onKey}
        onBlur={() => setAt(undefined)}
        onPointerMove={(event) => setAt(nearest(event))}
        onPointerLeave={() => setAt(undefined)}
      >
        <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true">
          {[0, 0.5, 1].map((share) => (
            <g key={share}>
              <line class="rule" x1={LEFT} x2={WIDTH - 4} y1={y(share * top)} y2={y(share * top)} />
              <text x={LEFT - 6} y={y(share * top) + 4} text-anchor="end">
                {write(share * top)}
              </text>
            </g>
          ))}
          <text x={LEFT} y={HEIGHT - 4}>
            {times.length > 1 ? clock(first) : ""}
          </text>
          <text x={WIDTH - 4} y={HEIGHT - 4} text-anchor="end">
            {times.length > 0 ? clock(last) : ""}
          </text>
          {series.map(({ name, values }, i) => (
            <path key={name} class={`line hue-${i % 6}`} stroke-dasharray={DASHES[i % 6]} d={pathOf(times, values, x, y)} />
          ))}
          {at !== undefined && <line class="cross" x1={x(times[shown] ?? 0)} x2={x(times[shown] ?? 0)} y1={TOP} y2={HEIGHT - BOTTOM} />}
          {series.map(({ name, values }, i) => {
            const value = values[shown] ?? NaN;
            return Number.isFinite(value) ? <circle key={name} class={`dot hue-${i % 6}`} cx={x(times[shown] ?? 0)} cy={y(value)} r="3.5" /> : null;
          })}
        </svg>
      </div>
      <output class="unseen" aria-live="polite">
        {at === undefined ? "" : said}
      </output>
      <ul class="chart-legend">
        {series.map(({ name, values }, i) => (
          <li key={name}>
            <svg viewBox="0 0 24 8" width="24" height="8" aria-hidden="true">
              <path class={`line hue-${i % 6}`} stroke-dasharray={DASHES[i % 6]} d="M0 4H24" />
            </svg>
            {name} <b>{write(values[shown] ?? NaN)}</b>
          </li>
        ))}
        {at !== undefined && <li class="faint">at {clock(times[shown] ?? 0)}</li>}
      </ul>
    </figure>
  );
}

function csvOf(times: number[], series: Series[]): string {
  const rows = times.map((time, i) => [new Date(time).toISOString(), ...series.map(({ values }) => values[i] ?? NaN)]);
  return csv([["time", ...series.map(({ name }) => name)], ...rows]);
}

/** A line through the values; where one is no number, it breaks. */
function pathOf(times: number[], values: number[], x: (time: number) => number, y: (value: number) => number): string {
  let path = "";
  let isDown = false;
  times.forEach((time, i) => {
    const value = values[i] ?? NaN;
    if (Number.isFinite(value)) path += `${isDown ? "L" : "M"}${x(time).toFixed(1)} ${y(value).toFixed(1)}`;
    isDown = Number.isFinite(value);
  });
  return path;
}

/** Returns the next number of the kind 1, 2, 5 times a power of ten. */
export function niceTop(most: number): number {
  if (!(most > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return ([1, 2, 5, 10].find((one) => one * power >= most * 0.999) ?? 10) * power;
}

const clock = (time: number) => new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
