/** Edits by controls that are made from the contract and say what stands there: they are loaded when one of them is opened. */

import { clone, create, fromJson, type JsonObject, type Message } from "@bufbuild/protobuf";
import { useState } from "preact/hooks";
import { type Intervention, InterventionSchema, type Sampling, SamplingSchema } from "scotoma/v1";

import { commentOf, firstSentence } from "../forms/hints";
import { Around, MessageForm } from "../forms/message";
import { words } from "../forms/names";
import { sampling } from "../state/answers";
import { jsonOf, kinds, replace } from "../state/edit";
import { hookPoints } from "../state/hooks";
import type { Change } from "../state/question";
import { model } from "../state/server";

/** Lists all kinds that the contract has, to add one. */
export function KindList({ choose }: { choose: (kind: string) => void }) {
  const taken = new Set(model.value?.interventions);
  return (
    <ul class="kinds">
      {kinds.map((field) => (
        <li key={field.name}>
          <button type="button" disabled={taken.size > 0 && !taken.has(field.name)} onClick={() => choose(field.localName)}>
            <strong>{words(field.name)}</strong>
            <span>{firstSentence(commentOf(field))}</span>
          </button>
        </li>
      ))}
    </ul>
  );
}

/** The fields of `Sampling`. */
export function SamplingForm() {
  return (
    <>
      <MessageForm desc={SamplingSchema} message={sampling.value} change={(next: Message) => (sampling.value = next as Sampling)} />
      <button type="button" class="small" onClick={() => (sampling.value = create(SamplingSchema))}>
        Back to the defaults
      </button>
    </>
  );
}

/** The controls of a change, or its JSON. */
export function Editor({ change }: { change: Change }) {
  const [asJson, setAsJson] = useState(false);
  const { kind } = change.intervention;
  const field = kinds.find(({ localName }) => localName === kind.case);
  if (field?.fieldKind !== "message") return null;
  const put = (message: Message) => {
    const copy = clone(InterventionSchema, change.intervention);
    copy.kind = { case: kind.case, value: message } as Intervention["kind"];
    replace(change.id, copy);
  };
  return (
    <div class="editor stack">
      <p class="hint">{commentOf(field.message)}</p>
      <div class="row" role="group" aria-label="Edit by">
        <button type="button" class="small" aria-pressed={!asJson} onClick={() => setAsJson(false)}>
          Controls
        </button>
        <button type="button" class="small" aria-pressed={asJson} onClick={() => setAsJson(true)}>
          JSON
        </button>
      </div>
      {asJson ? (
        <JsonEditor change={change} />
      ) : (
        <Around.Provider value={{ model: model.value, hookPoints: hookPoints.value }}>
          <MessageForm desc={field.message} message={kind.value as Message} change={put} />
        </Around.Provider>
      )}
    </div>
  );
}

function JsonEditor({ change }: { change: Change }) {
  const [text, setText] = useState(JSON.stringify(jsonOf(change.intervention), null, 2));
  const [wrong, setWrong] = useState("");
  const take = (next: string) => {
    setText(next);
    try {
      replace(change.id, fromJson(InterventionSchema, JSON.parse(next) as JsonObject));
      setWrong("");
    } catch (error) {
      setWrong(error instanceof Error ? error.message : String(error));
    }
  };
  const id = `json-${change.id}`;
  return (
    <div class="field">
      <label for={id}>Canonical JSON</label>
      <textarea id={id} class="mono" rows={Math.min(16, text.split("\n").length + 1)} spellcheck={false} value={text} aria-invalid={wrong !== ""} onInput={(event) => take(event.currentTarget.value)} />
      {wrong !== "" && <span class="bad hint">{wrong}</span>}
    </div>
  );
}
