/** What hiding each patch costs the answer. */

import { signal } from "@preact/signals";
import { OccludePatches_Fill as Fill } from "scotoma/v1";

import { HeatMap } from "../../draw/heatmap";
import { signed, written } from "../../draw/scale";
import { looked, runnerUp } from "../../look/run";
import { shown } from "../../look/layout";
import { measure } from "../../look/maps";
import { occlude, occluded, occlusionResults, occlusionTask } from "../../look/sweeps";
import { TaskState } from "../../ui/task";

const fills: [Fill, string][] = [
  [Fill.MEAN, "mean colour"],
  [Fill.BLACK, "black"],
  [Fill.BLUR, "blurred"],
];

const fill = signal(Fill.MEAN);
const cells = signal(0);
const watch = signal<string | undefined>(undefined);
const against = signal<string | undefined>(undefined);

/** Cells along a side that are offered: those of the patch grid, and coarser ones. */
function grids(patches: number): number[] {
  const all = [patches, 16, 12, 8, 6, 4].filter((one) => one <= patches && one > 1);
  return [...new Set(all)].sort((a, b) => b - a);
}

export function OcclusionPanel() {
  const found = looked.value!;
  occlusionResults.value;
  if (found.planes.length === 0) return <p>There is no picture in the prompt.</p>;
  const offered = grids(found.model.patchGrid);
  // As fine as the patches, unless that would be hundreds of variants.
  const grid = offered.includes(cells.value) ? cells.value : (offered.find((one) => one <= 12) ?? offered[0] ?? 1);
  const text = watch.value ?? found.answer;
  const other = against.value ?? (watch.value === undefined ? runnerUp(found) : "");
  const running = occlusionTask.progress.value !== undefined;
  const begin = (event: Event) => {
    event.preventDefault();
    void occlude(found, { grid, fill: fill.value, watch: text, against: other });
  };
  return (
    <>
      <p class="faint">
        Each patch is hidden by itself, and it is watched how likely a text is, or how much likelier than another one. Blue: without the patch it
        is less likely, so that the patch speaks for it. Red: the patch speaks against it.
      </p>
      <form class="look-form" onSubmit={begin}>
        <label>
          Watch
          <input required value={text} onInput={(event) => (watch.value = event.currentTarget.value)} />
        </label>
        <label>
          against (or nothing)
          <input value={other} onInput={(event) => (against.value = event.currentTarget.value)} />
        </label>
        <label>
          Cells
          <select value={grid} onChange={(event) => (cells.value = Number(event.currentTarget.value))}>
            {offered.map((one) => (
              <option key={one} value={one}>
                {one} × {one}
              </option>
            ))}
          </select>
        </label>
        <label>
          Filled with
          <select value={fill.value} onChange={(event) => (fill.value = Number(event.currentTarget.value))}>
            {fills.map(([value, name]) => (
              <option key={value} value={value}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <button type="submit" class="primary" disabled={running}>
          Hide {grid * grid} patches
        </button>
      </form>
      <TaskState task={occlusionTask} name="Hiding patches" />
      <Map />
    </>
  );
}

function Map() {
  const made = occluded.value;
  occlusionResults.value;
  if (made === undefined || made.map.done === 0) return null;
  const { map, grid, watch: text, against: other, of } = made;
  const drops = map.drops();
  const base = map.base;
  const what = other === "" ? `“${shown(text)}”` : `“${shown(text)}” against “${shown(other)}”`;
  return (
    <div class="look-pair">
      <HeatMap
        label={`Occlusion map of ${what}`}
        rows={grid}
        columns={grid}
        values={drops}
        ramp="change"
        picture={of.seen?.url}
        write={signed}
        unit="nats lost without the patch"
      />
      <div class="stack">
        {base !== undefined && (
          <p>
            With the whole picture the log-probability of {what} is <b>{written(measure(base))}</b>.
          </p>
        )}
        <h3>Patches that matter most</h3>
        <table class="narrow">
          <thead>
            <tr>
              <th scope="col">row, column</th>
              <th scope="col" class="number">
                lost without it
              </th>
            </tr>
          </thead>
          <tbody>
            {strongest(drops).map((cell) => (
              <tr key={cell}>
                <td>
                  {Math.floor(cell / grid)}, {cell % grid}
                </td>
                <td class="number">{signed(drops[cell] ?? NaN)}</td>
              </tr>
            ))}
          </tbody>
        </table>
        {map.errors.size > 0 && <p class="bad">{map.errors.size} cells have no answer.</p>}
      </div>
    </div>
  );
}

const strongest = (values: Float32Array) =>
  [...values.keys()]
    .filter((i) => Number.isFinite(values[i]))
    .sort((a, b) => Math.abs(values[b] ?? 0) - Math.abs(values[a] ?? 0))
    .slice(0, 5);
