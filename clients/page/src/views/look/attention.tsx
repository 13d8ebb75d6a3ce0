/** What a word looks at: attention over the patches and the words, by layer and head. */

import { computed, signal } from "@preact/signals";

import { HeatMap } from "../../draw/heatmap";
import { percent } from "../../draw/scale";
import { attention, type Chosen, mass } from "../../look/attention";
import { onPlane, type Plane, shown, type Word } from "../../look/layout";
import { added, fetchWord, type Looked, looked, wordTask } from "../../look/run";
import { picture } from "../../state/question";
import { TaskState } from "../../ui/task";

const at = signal<number | undefined>(undefined);
const layer = signal<Chosen>(undefined);
const head = signal<Chosen>(undefined);
const plane = signal(0);

/** The word that is chosen; the first one of the answer by default. */
const word = computed<Word | undefined>(() => {
  const all = looked.value?.words ?? [];
  return all.find(({ position }) => position === at.value) ?? all.find(({ of }) => of === "answer") ?? all.at(-1);
});

export function AttentionPanel() {
  const found = looked.value!;
  added.value;
  const chosen = word.value;
  const pattern = chosen === undefined ? undefined : found.patterns.of(chosen);
  const values = pattern === undefined ? undefined : attention(pattern, layer.value, head.value);
  const own = found.planes[Math.min(plane.value, found.planes.length - 1)];
  const seen = own === undefined || values === undefined ? undefined : onPlane(own, values);
  const all = found.planes.flatMap(({ positions }) => [...positions]);
  const onPicture = values === undefined ? NaN : all.reduce((sum, position) => sum + (position < 0 ? 0 : (values[position] ?? 0)), 0);
  const layers = found.model.languageModel?.layers ?? 0;
  const heads = pattern?.heads ?? found.model.languageModel?.heads ?? 0;
  const name = chosen === undefined ? "" : shown(chosen.text);
  return (
    <>
      <p class="faint">
        Choose a word. The picture shows how much it attends to each patch, the words how much it attends to them. A word of the answer is looked
        at from the position at which the model chose it.
      </p>
      <Words found={found} values={values} chosen={chosen} />
      <TaskState task={wordTask} name="Fetching attention" />
      <div class="look-pair">
        <div class="stack">
          <h2>
            “{name}” over the picture <span class="faint">{percent(onPicture)} of its attention</span>
          </h2>
          {found.planes.length > 1 && <PlaneChoice planes={found.planes} />}
          {own !== undefined && seen !== undefined ? (
            <HeatMap
              label={`Attention of “${name}” over the picture, ${spoken("layer", layer.value)}, ${spoken("head", head.value)}`}
              rows={own.rows}
              columns={own.columns}
              values={seen}
              picture={own.of === "canvas" ? picture.value?.url : found.seen?.url}
              write={percent}
              unit="of its attention"
            />
          ) : (
            <p>{own === undefined ? "There is no picture in the prompt." : "Its attention is not fetched yet."}</p>
          )}
        </div>
        <div class="stack">
          <h2>Layer and head</h2>
          <Slider name="Layer" value={layer.value} count={layers} set={(value) => (layer.value = value)} />
          <Slider name="Head" value={head.value} count={heads} set={(value) => (head.value = value)} />
          {pattern !== undefined && all.length > 0 && (
            <>
              <p class="faint">How much of the attention of “{name}” goes to the picture. Choose a cell to see where.</p>
              <HeatMap
                label={`Attention of “${name}” to the picture by layer and head`}
                rows={pattern.layers}
                columns={pattern.heads}
                values={mass(pattern, all)}
                range={{ low: 0, high: 1 }}
                axes={["layer", "head"]}
                write={percent}
                unit="to the picture"
                ticks
                chosen={layer.value === undefined || head.value === undefined ? undefined : layer.value * pattern.heads + head.value}
                choose={(cell) => {
                  layer.value = Math.floor(cell / pattern.heads);
                  head.value = cell % pattern.heads;
                }}
              />
            </>
          )}
        </div>
      </div>
    </>
  );
}

const spoken = (name: string, value: Chosen) => (value === undefined ? `mean over ${name}s` : `${name} ${value}`);

function Words({ found, values, chosen }: { found: Looked; values: Float32Array | undefined; chosen: Word | undefined }) {
  const choose = (one: Word) => {
    at.value = one.position;
    void fetchWord(one);
  };
  // The first word of all gets most of the attention of most heads and would hide the others.
  const most = Math.max(...found.words.map(({ position }) => values?.[position] ?? 0), 1e-9);
  const of = (part: "prompt" | "answer") => found.words.filter((one) => one.of === part);
  const button = (one: Word) => (
    <button
      key={one.position}
      type="button"
      class="word"
      aria-pressed={one.position === chosen?.position}
      style={{ "--much": ((values?.[one.position] ?? 0) / most).toFixed(3) }}
      title={values?.[one.position] === undefined ? "" : `gets ${percent(values[one.position] ?? 0)}`}
      onClick={() => choose(one)}
    >
      {shown(one.text)}
    </button>
  );
  return (
    <div class="words" role="group" aria-label="Words">
      <span class="words-line">{of("prompt").map(button)}</span>
      <span class="words-line answer">
        <span class="faint">answer</span>
        {of("answer").map(button)}
      </span>
    </div>
  );
}

function Slider({ name, value, count, set }: { name: string; value: Chosen; count: number; set: (value: Chosen) => void }) {
  const id = `look-${name.toLowerCase()}`;
  return (
    <div class="slider">
      <label for={id}>{name}</label>
      <input
        id={id}
        type="range"
        min={-1}
        max={count - 1}
        value={value ?? -1}
        aria-valuetext={value === undefined ? "mean over all" : String(value)}
        onInput={(event) => set(Number(event.currentTarget.value) < 0 ? undefined : Number(event.currentTarget.value))}
      />
      <output for={id}>{value ?? "mean"}</output>
    </div>
  );
}

/** Chooses the view of the picture, where there are several. */
function PlaneChoice({ planes }: { planes: Plane[] }) {
  return (
    <select class="auto" aria-label="Part of the picture" value={plane.value} onChange={(event) => (plane.value = event.currentTarget.selectedIndex)}>
      {planes.map(({ of, image }, i) => (
        <option key={i} value={i}>
          {of === "view" ? "base view" : "tiles"} of picture {image + 1}
        </option>
      ))}
    </select>
  );
}
