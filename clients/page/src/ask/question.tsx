/** The question, the model, and how it answers. */

import { useEffect, useState } from "preact/hooks";

import { ask, askLive, asking, live, maxTokens, sampleKey, stop, stops } from "../state/answers";
import { load } from "../state/edit";
import { chosenPreset, type Preset, presets, readPresets } from "../state/presets";
import { question } from "../state/question";
import { sampleShown } from "../state/samples";
import { chosenModel, model, models, standing } from "../state/server";
import { lazy } from "../ui/lazy";

const SamplingForm = lazy(async () => (await import("./controls")).SamplingForm);

export function QuestionCard() {
  const submit = (event: Event) => {
    event.preventDefault();
    void ask();
  };
  const keyed = (event: KeyboardEvent) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
  };
  const canAsk = question.value.trim() !== "" && model.value !== undefined && standing.value.is === "ready";
  const sample = sampleShown.value;
  return (
    <section class="card" aria-labelledby="question-title">
      <form class="stack" onSubmit={submit}>
        <h2 id="question-title">The question</h2>
        <div class="field">
          <label for="question" class="unseen">
            Question
          </label>
          <textarea id="question" rows={2} value={question.value} onInput={(event) => (question.value = event.currentTarget.value)} onKeyDown={keyed} />
          {sample !== undefined && sample.question === question.value && (
            <span class="hint">
              The right answer is <strong>{sample.answer}</strong>.
            </span>
          )}
        </div>
        <ModelChoice />
        <div class="row">
          <button type="submit" class="primary" disabled={!canAsk}>
            Ask
          </button>
          <StopButton />
          <label class="row toggle">
            <input type="checkbox" role="switch" checked={live.value} onChange={(event) => askLive(event.currentTarget.checked)} />
            Ask as I change
          </label>
        </div>
        <Settings />
      </form>
    </section>
  );
}

/** By itself: it alone changes as answers begin and end. */
function StopButton() {
  return (
    <button type="button" disabled={!asking.value} onClick={stop}>
      Stop
    </button>
  );
}

function ModelChoice() {
  const ready = standing.value.is === "ready";
  useEffect(() => {
    if (ready) void readPresets();
  }, [ready]);
  const own = presets.value.filter(({ model: of }) => of === model.value?.name);
  const choose = (preset: Preset | undefined) => {
    chosenPreset.value = preset?.name ?? "";
    load(preset?.interventions ?? []);
  };
  return (
    <div class="pair">
      <div class="field">
        <label for="model">Model</label>
        <select id="model" value={model.value?.name ?? ""} onChange={(event) => (chosenModel.value = event.currentTarget.value)}>
          {models.value.map(({ name, parameters }) => (
            <option key={name} value={name}>
              {name} ({size(Number(parameters))})
            </option>
          ))}
        </select>
      </div>
      {own.length > 0 && (
        <div class="field">
          <label for="preset">Preset</label>
          <select id="preset" value={chosenPreset.value} onChange={(event) => choose(own.find(({ name }) => name === event.currentTarget.value))}>
            <option value="">None</option>
            {own.map(({ name }) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </div>
      )}
    </div>
  );
}

/** Writes a number of parameters shortly. */
function size(parameters: number): string {
  if (parameters >= 1e9) return `${(parameters / 1e9).toFixed(1)} B parameters`;
  return parameters >= 1e6 ? `${(parameters / 1e6).toFixed(1)} M parameters` : `${Math.round(parameters / 1e3)} k parameters`;
}

/** How tokens are chosen: whatever the contract has of it. */
function Settings() {
  const [opened, setOpened] = useState(false);
  const takeMost = (text: string) => (maxTokens.value = Math.max(0, Math.round(Number(text))));
  const takeStops = (text: string) => {
    stops.value = text.split("|").map((each) => each.trim()).filter((each) => each !== "");
  };
  return (
    <details onToggle={() => setOpened(true)}>
      <summary>Sampling and length</summary>
      <div class="stack">
        <div class="form">
          <div class="field">
            <label for="max-tokens">Most tokens</label>
            <input id="max-tokens" type="number" min={0} value={maxTokens.value || ""} placeholder="As the model says" onChange={(event) => takeMost(event.currentTarget.value)} />
          </div>
          <div class="field">
            <label for="stops">Stop before</label>
            <input id="stops" type="text" value={stops.value.join(" | ")} placeholder="texts, with | between them" onChange={(event) => takeStops(event.currentTarget.value)} />
          </div>
          <div class="field">
            <label for="sample-key">Sample key</label>
            <input id="sample-key" type="text" value={sampleKey.value} aria-describedby="sample-key-hint" onChange={(event) => (sampleKey.value = event.currentTarget.value)} />
            <span class="hint" id="sample-key-hint">
              Tells samples apart that share a seed.
            </span>
          </div>
        </div>
        {opened && <SamplingForm />}
      </div>
    </details>
  );
}
