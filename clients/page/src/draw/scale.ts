/** Turns numbers into shares of a range, and shares into colours. */

/** The least and the greatest value that a picture tells apart. */
export interface Range {
  low: number;
  high: number;
}

/** How values are read: from nothing to much, or from less over nothing to more. */
export type Ramp = "heat" | "change";

/** Returns the range of `values`, those that are no numbers left out; of changes it is the same to both sides of 0. */
export function rangeOf(values: ArrayLike<number>, ramp: Ramp = "heat"): Range {
  let [low, high] = [Infinity, -Infinity];
  for (let i = 0; i < values.length; i += 1) {
    const value = values[i] ?? NaN;
    if (!Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) return { low: 0, high: 0 };
  if (ramp === "heat") return { low: Math.min(0, low), high };
  const most = Math.max(Math.abs(low), Math.abs(high));
  return { low: -most, high: most };
}

/** Returns where `value` lies in the range, 0 to 1; of changes -1 to 1. NaN where it is no number. */
export function shareOf(value: number, { low, high }: Range, ramp: Ramp = "heat"): number {
  if (!Number.isFinite(value)) return NaN;
  if (ramp === "change") return high === 0 ? 0 : clamp(value / high, -1, 1);
  return high === low ? 0 : clamp((value - low) / (high - low), 0, 1);
}

const clamp = (value: number, least: number, most: number) => Math.min(most, Math.max(least, value));

/** A colour: red, green and blue from 0 to 255, and how much of what is below it hides, 0 to 1. */
export type Colour = [number, number, number, number];

/** Stops of the ramps over pictures: hues that are apart from each other over light and dark pictures, more opaque the more they say. */
const STOPS: Record<"heat" | "more" | "less", Colour[]> = {
  heat: [
    [255, 214, 90, 0],
    [255, 190, 50, 0.5],
    [238, 96, 30, 0.74],
    [150, 12, 84, 0.84],
  ],
  more: [
    [90, 170, 255, 0],
    [40, 120, 240, 0.6],
    [12, 50, 150, 0.84],
  ],
  less: [
    [255, 140, 110, 0],
    [230, 70, 40, 0.6],
    [140, 16, 16, 0.84],
  ],
};

/** Returns the colour of a share over a picture. */
export function overPicture(share: number, ramp: Ramp): Colour {
  if (Number.isNaN(share)) return [128, 128, 128, 0.5];
  if (ramp === "heat") return between(STOPS.heat, share);
  return between(share < 0 ? STOPS.less : STOPS.more, Math.abs(share));
}

function between(stops: Colour[], share: number): Colour {
  const at = share * (stops.length - 1);
  const below = Math.min(Math.floor(at), stops.length - 2);
  const [a, b] = [stops[below] as Colour, stops[below + 1] as Colour];
  const mix = (i: 0 | 1 | 2 | 3) => a[i] + (b[i] - a[i]) * (at - below);
  return [Math.round(mix(0)), Math.round(mix(1)), Math.round(mix(2)), mix(3)];
}

/** Writes a number with as many digits as a reader can use. */
export function written(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size === 0) return "0";
  const far = size >= 1e6 || size < 1e-3;
  const digits = far ? size.toExponential(1) : size.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
  return value < 0 ? `−${digits}` : digits;
}

/** Writes a share as a percentage. */
export function percent(share: number): string {
  if (!Number.isFinite(share)) return "–";
  const value = 100 * share;
  if (value === 0) return "0 %";
  const size = Math.abs(value);
  if (size < 0.1) return value < 0 ? "> −0.1 %" : "< 0.1 %";
  return `${value < 0 ? "−" : ""}${size.toFixed(size >= 99.95 ? 0 : 1)} %`;
}

/** Writes a change with its sign. */
export function signed(value: number): string {
  return value > 0 ? `+${written(value)}` : written(value);
}
