/** What the model would say after each layer, at each position: the logit lens. */

import { signal } from "@preact/signals";

import { Grid } from "../../draw/grid";
import { HeatMap } from "../../draw/heatmap";
import { percent } from "../../draw/scale";
import { shown } from "../../look/layout";
import { added, fetchPatchLens, looked, patchLensTask } from "../../look/run";
import { picture } from "../../state/question";
import { TaskState } from "../../ui/task";

/** Columns that are drawn at once. */
const MOST_COLUMNS = 60;

const at = signal<{ layer: number; column: number } | undefined>(undefined);
const patchLayer = signal<number | undefined>(undefined);

const sure = (logprob: number | undefined) => (logprob === undefined ? NaN : Math.exp(logprob));

export function LensPanel() {
  const found = looked.value!;
  added.value;
  const { lens } = found;
  const end = found.words.find(({ of }) => of === "answer")?.position ?? Infinity;
  // At a word's position stands what comes after it: the last words matter most.
  const columns = found.words.filter(({ position }) => lens.has(position)).slice(-MOST_COLUMNS);
  const layers = Array.from({ length: lens.layers }, (_, i) => lens.layers - 1 - i);
  const read = at.value ?? { layer: lens.layers - 1, column: columns.findIndex(({ position }) => position === end - 1) };
  const word = columns[Math.min(Math.max(read.column, 0), columns.length - 1)];
  const guesses = word === undefined ? [] : lens.at(read.layer, word.position);
  const settled = word === undefined ? undefined : lens.settled(word.position);
  return (
    <>
      <p class="faint">
        What would come next, if the model ended after that layer: the likeliest token at each position, darker where it is surer. The last layer
        is on top.
      </p>
      <div class="look-lens">
        <Grid
          label="Logit lens: the likeliest next token by layer and position"
          corner="layer"
          rowNames={layers.map(String)}
          columnNames={columns.map(({ text }) => shown(text))}
          cell={(row, column) => {
            const one = columns[column]!;
            const [best] = lens.at(layers[row]!, one.position);
            const text = best === undefined ? "" : shown(best.text);
            return {
              text,
              share: sure(best?.logprob),
              said: `layer ${layers[row]}, at ${shown(one.text)}: ${best === undefined ? "not there" : `${text}, ${percent(sure(best.logprob))}`}`,
              value: best === undefined ? "" : `${best.text} ${sure(best.logprob).toFixed(4)}`,
            };
          }}
          read={(row, column) => (at.value = { layer: layers[row]!, column })}
        />
        <aside class="stack lens-guesses" aria-live="polite">
          <h2>
            After layer {read.layer}, at “{word === undefined ? "" : shown(word.text)}”
          </h2>
          <table>
            <thead>
              <tr>
                <th scope="col">next token</th>
                <th scope="col" class="number">
                  probability
                </th>
              </tr>
            </thead>
            <tbody>
              {guesses.map(({ text, logprob }, i) => (
                <tr key={i}>
                  <td class="mono">{shown(text)}</td>
                  <td class="number">
                    <i class="bar" style={{ width: `${60 * sure(logprob)}px` }} />
                    {percent(sure(logprob))}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
          {settled !== undefined && <p class="faint">The last layer's token stands from layer {settled} on.</p>}
        </aside>
      </div>
      {found.planes.length > 0 && <Patches />}
    </>
  );
}

/** The lens at the patches of the picture. */
function Patches() {
  const found = looked.value!;
  const { lens, planes } = found;
  const [plane] = planes;
  if (plane === undefined) return null;
  const there = [...plane.positions].some((position) => lens.has(position));
  const layer = patchLayer.value ?? lens.layers >> 1;
  const guess = (cell: number) => lens.at(layer, plane.positions[cell] ?? -1)[0];
  return (
    <section class="stack">
      <h2>At the patches</h2>
      {!there && (
        <div class="row">
          <button type="button" disabled={patchLensTask.progress.value !== undefined} onClick={() => void fetchPatchLens()}>
            Read the {plane.positions.length} patches
          </button>
          <span class="faint">What the words for each patch would be.</span>
        </div>
      )}
      <TaskState task={patchLensTask} name="Reading patches" />
      {there && (
        <div class="look-pair">
          <div class="stack">
            <div class="slider">
              <label for="lens-layer">Layer</label>
              <input
                id="lens-layer"
                type="range"
                min={0}
                max={lens.layers - 1}
                value={layer}
                onInput={(event) => (patchLayer.value = Number(event.currentTarget.value))}
              />
              <output for="lens-layer">{layer}</output>
            </div>
            <HeatMap
              label={`Logit lens at the patches, layer ${layer}`}
              rows={plane.rows}
              columns={plane.columns}
              values={Float32Array.from(plane.positions, (_, cell) => sure(guess(cell)?.logprob))}
              picture={plane.of === "canvas" ? picture.value?.url : found.seen?.url}
              write={percent}
              unit="probability of the likeliest token"
              more={(cell) => <b> {shown(guess(cell)?.text ?? "")}</b>}
            />
          </div>
          <div class="stack">
            <h3>The likeliest tokens</h3>
            <table class="narrow">
              <thead>
                <tr>
                  <th scope="col">token</th>
                  <th scope="col" class="number">
                    patches
                  </th>
                </tr>
              </thead>
              <tbody>
                {counted(Array.from(plane.positions, (_, cell) => guess(cell)?.text ?? "")).map(([text, count]) => (
                  <tr key={text}>
                    <td class="mono">{shown(text)}</td>
                    <td class="number">{count}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </div>
      )}
    </section>
  );
}

/** The most frequent texts with their counts. */
function counted(texts: string[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]).slice(0, 8);
}
