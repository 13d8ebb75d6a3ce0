/** Draws shares with their intervals, as a table. */

import { written } from "./scale";
import type { Bar } from "../reports/read";

/** A value in percent where it is a share; of no items there is none. */
const inUnits = (value: number, most: number) => (Number.isNaN(value) ? "none" : most <= 1 ? `${(100 * value).toFixed(1)} %` : written(value));

export function Bars({ name, bars }: { name: string; bars: Bar[] }) {
  const most = Math.max(...bars.map((bar) => bar.most), 1e-9);
  const x = (value: number) => `${(100 * Math.min(Math.max(value || 0, 0), most)) / most}%`;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={name}>
      <table class="interval-bars">
        <thead>
          <tr>
            <th scope="col">variant</th>
            <th scope="col">{name}</th>
            <th scope="col" class="number">
              value
            </th>
            <th scope="col" class="number">
              95 % interval
            </th>
            <th scope="col" class="number">
              n
            </th>
          </tr>
        </thead>
        <tbody>
          {bars.map((bar) => (
            <tr key={bar.name}>
              <th scope="row">{bar.name}</th>
              <td class="interval-bar">
                <span>
                  <i class="whole" style={{ width: x(bar.value) }} />
                  <i class="interval" style={{ left: x(bar.low), width: `calc(${x(bar.high)} - ${x(bar.low)})` }} />
                </span>
              </td>
              <td class="number">{inUnits(bar.value, bar.most)}</td>
              <td class="number">
                {Number.isNaN(bar.value) ? "" : `${inUnits(bar.low, bar.most)} to ${inUnits(bar.high, bar.most)}`}
              </td>
              <td class="number">{bar.n}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
