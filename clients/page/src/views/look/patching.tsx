/** What each layer and each group of tokens of the clean run gives back to a corrupted one. */

import { signal } from "@preact/signals";
import { intervention } from "scotoma";
import type { Intervention } from "scotoma/v1";
import samples from "virtual:samples";

import { Grid } from "../../draw/grid";
import { percent, written } from "../../draw/scale";
import { shown } from "../../look/layout";
import { looked } from "../../look/run";
import { groupsFor, patch, patched, patchingResults, patchingTask } from "../../look/patching";
import { TaskState } from "../../ui/task";

/** Ways to corrupt a run. */
const corruptions: [string, () => Intervention | undefined][] = [
  ["another picture", () => undefined],
  ["one colour in place of the picture", () => intervention({ blankImage: { colour: "COLOUR_MEAN" } })],
  ["visual tokens permuted", () => intervention({ permuteTokens: { seed: "7" } })],
  ["half of the patches hidden", () => intervention({ occludePatches: { random: { ratio: 0.5, seed: "7" } } })],
];

const points: [string, string][] = [
  ["language_model.blocks.{l}.hook_resid_pre", "residual stream before the layer"],
  ["language_model.blocks.{l}.hook_attn_out", "attention's output"],
  ["language_model.blocks.{l}.hook_mlp_out", "MLP's output"],
];

const way = signal(0);
/** A sample; -1: the one that changes the answer most. */
const other = signal(-1);
const own = signal<{ name: string; bytes: Uint8Array<ArrayBuffer> } | undefined>(undefined);
const point = signal(points[0]![0]);
const every = signal(1);
const bands = signal(6);

const bytesOf = (base64: string) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

async function take(files: FileList | null): Promise<void> {
  const file = files?.[0];
  if (file !== undefined) own.value = { name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) };
}

/** The pictures of which one is taken. */
function offered(): Uint8Array<ArrayBuffer>[] {
  if (own.value !== undefined) return [own.value.bytes];
  return samples.filter((_, i) => other.value < 0 || i === other.value).map(({ png }) => bytesOf(png));
}

export function PatchingPanel() {
  const found = looked.value!;
  const layers = found.model.languageModel?.layers ?? 0;
  const groups = groupsFor(found, bands.value);
  const rows = Math.ceil(layers / every.value);
  const begin = (event: Event) => {
    event.preventDefault();
    const corruption = corruptions[way.value]?.[1]();
    void patch(found, { pictures: way.value === 0 ? offered() : [], corruption, point: point.value, every: every.value, bands: bands.value });
  };
  return (
    <>
      <p class="faint">
        The question is asked once as it is (clean) and once corrupted. Then what the clean run held at one layer and one group of tokens is written
        into the corrupted run: 100 % brings the clean answer back, 0 % does nothing.
      </p>
      <form class="look-form" onSubmit={begin}>
        <label>
          Corrupted by
          <select value={way.value} onChange={(event) => (way.value = event.currentTarget.selectedIndex)}>
            {corruptions.map(([name], i) => (
              <option key={name} value={i}>
                {name}
              </option>
            ))}
          </select>
        </label>
        {way.value === 0 && <OtherPicture />}
        <label>
          Patched
          <select value={point.value} onChange={(event) => (point.value = event.currentTarget.value)}>
            {points.map(([value, name]) => (
              <option key={value} value={value}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <label>
          Layers
          <select value={every.value} onChange={(event) => (every.value = Number(event.currentTarget.value))}>
            {(
              [
                [1, "each"],
                [2, "every second"],
                [4, "every fourth"],
              ] as const
            ).map(([value, name]) => (
              <option key={value} value={value}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <label>
          Picture in
          <select value={bands.value} onChange={(event) => (bands.value = Number(event.currentTarget.value))}>
            {[1, 3, 6, 12].map((one) => (
              <option key={one} value={one}>
                {one === 1 ? "one piece" : `${one} bands`}
              </option>
            ))}
          </select>
        </label>
        <button type="submit" class="primary" disabled={patchingTask.progress.value !== undefined}>
          Patch {rows * groups.length} places
        </button>
      </form>
      <TaskState task={patchingTask} name="Patching" />
      <Map />
    </>
  );
}

function OtherPicture() {
  const sample = samples[other.value < 0 ? -1 : other.value];
  return (
    <div class="other-picture">
      <label>
        The other picture
        <select
          value={own.value === undefined ? other.value : -2}
          onChange={(event) => {
            own.value = undefined;
            other.value = Number(event.currentTarget.value);
          }}
        >
          {own.value !== undefined && <option value={-2}>{own.value.name}</option>}
          <option value={-1}>the sample that changes the answer most</option>
          {samples.map(({ id, category, answer }, i) => (
            <option key={id} value={i}>
              sample {id}: {category}, {answer}
            </option>
          ))}
        </select>
      </label>
      {own.value === undefined && sample !== undefined && <img src={`data:image/png;base64,${sample.png}`} alt={`Sample ${sample.id}`} />}
      <label class="button small">
        File
        <input type="file" class="unseen" accept="image/*" aria-label="The other picture's file" onChange={(event) => void take(event.currentTarget.files)} />
      </label>
    </div>
  );
}

function Map() {
  const found = patched.value;
  patchingResults.value;
  if (found === undefined) return null;
  const { layers, groups, effects, errors, answers, baseline, watched } = found;
  const order = layers.map((_, i) => layers.length - 1 - i);
  return (
    <>
      <p class="patching-said">
        {found.url !== undefined && <img src={found.url} alt="The other picture" />}
        Clean: <b class="mono">{shown(answers.clean)}</b>. Corrupted: <b class="mono">{shown(answers.corrupted)}</b>. Watched:{" "}
        {watched.length > 1 ? (
          <>
            how much likelier <b class="mono">{shown(answers.clean)}</b> is than <b class="mono">{shown(watched[1] ?? "")}</b>
          </>
        ) : (
          "the log-probability of the clean answer"
        )}
        {baseline !== undefined && `, ${written(baseline.clean)} clean and ${written(baseline.corrupted)} corrupted`}.
      </p>
      {baseline !== undefined && Math.abs(baseline.clean - baseline.corrupted) < 0.1 && (
        <p class="bad">The corruption hardly changes what is watched, so that the shares below say little. Take another picture.</p>
      )}
      <Grid
        label="Patching grid: how much of the clean answer comes back, by layer and tokens"
        corner="layer"
        ramp="change"
        rowNames={order.map((i) => String(layers[i]))}
        columnNames={groups.map(({ name }) => shown(name))}
        cell={(row, column) => {
          const cell = order[row]! * groups.length + column;
          const value = effects[cell] ?? NaN;
          const text = Number.isNaN(value) ? "" : `${Math.round(100 * value)}`;
          const where = `layer ${layers[order[row]!]}, ${shown(groups[column]!.name)}`;
          return {
            text,
            share: Math.max(-1, Math.min(1, value)),
            said: `${where}: ${errors.get(cell) ?? (Number.isNaN(value) ? "not there yet" : `${percent(value)} comes back`)}`,
            value,
          };
        }}
      />
      <p class="faint">In %. Blue: the patch brings the clean answer back. Red: it makes it less likely still.</p>
    </>
  );
}
