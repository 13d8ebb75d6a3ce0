/** The list of changes: add, order, switch off, remove, and edit by controls or as JSON. */

import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import type { Intervention } from "scotoma/v1";

import { words } from "../forms/names";
import { changed as answer } from "../state/answers";
import { add, jsonOf, kinds, load, move, remove, toggle } from "../state/edit";
import { readHookPoints } from "../state/hooks";
import { refused } from "../state/preview";
import { type Change, changes, interventions } from "../state/question";
import { model } from "../state/server";
import { ideas } from "../state/starts";
import { lazy } from "../ui/lazy";
import { ErrorNotice } from "../ui/notice";

const KindList = lazy(async () => (await import("./controls")).KindList);
const Editor = lazy(async () => (await import("./controls")).Editor);

/** The change whose controls are open. */
const open = signal<number | undefined>(undefined);

export function ChangesCard() {
  const name = model.value?.name;
  useEffect(() => {
    if (name !== undefined) void readHookPoints(name);
  }, [name]);
  const list = changes.value;
  return (
    <section class="card stack" aria-labelledby="changes-title">
      <div class="row spread">
        <h2 id="changes-title">What you change</h2>
        {list.length > 0 && (
          <button type="button" class="small" onClick={() => load([])}>
            Remove all
          </button>
        )}
      </div>
      <div class="row ideas" role="group" aria-label="Changes to try">
        <span class="faint">Try:</span>
        {ideas.map(({ say, list: idea }) => (
          <button key={say} type="button" class="small" onClick={() => load(idea)}>
            {say}
          </button>
        ))}
      </div>
      {refused.value !== undefined && answer.value?.error === undefined && <ErrorNotice error={refused.value} />}
      {list.length > 0 && (
        <ol class="changes">
          {list.map((change, at) => (
            <ChangeItem key={change.id} change={change} at={at} count={list.length} />
          ))}
        </ol>
      )}
      <Kinds />
    </section>
  );
}

/** All kinds that the contract has, to add one. */
function Kinds() {
  const [opened, setOpened] = useState(false);
  const choose = (kind: string) => {
    open.value = add(kind)?.id;
  };
  return (
    <details onToggle={() => setOpened(true)}>
      <summary>Add one of {kinds.length} kinds of changes</summary>
      {opened && <KindList choose={choose} />}
    </details>
  );
}

/** Returns the path of a field within a change that the server refuses, and why. */
function faultOf(change: Change): { field: string; description: string } | undefined {
  const error = answer.value?.error ?? refused.value;
  const at = interventions.value.indexOf(change.intervention);
  const prefix = `interventions[${at}]`;
  return at === -1 ? undefined : error?.fields.find(({ field }) => field.startsWith(prefix));
}

/** Returns what the answer's record says that a change did. */
function effectOf(change: Change): string {
  const at = answer.value?.interventions.indexOf(change.intervention) ?? -1;
  const did = at === -1 ? undefined : answer.value?.finished?.provenance?.plan[at];
  if (did === undefined) return "";
  if (did.changedNothing) return "Acted, and changed nothing.";
  const share = did.relativeChange === undefined ? "" : `, changed values by ${(did.relativeChange * 100).toFixed(did.relativeChange < 0.1 ? 1 : 0)} %`;
  return `Acted ${String(did.fired)} ${did.fired === 1n ? "time" : "times"}${share}.`;
}

function ChangeItem({ change, at, count }: { change: Change; at: number; count: number }) {
  const { id, on, intervention } = change;
  const field = kinds.find(({ localName }) => localName === intervention.kind.case);
  const name = words(field?.name ?? "");
  const isOpen = open.value === id;
  const fault = faultOf(change);
  const label = `${name} (${at + 1} of ${count})`;
  return (
    <li class={`change${on ? "" : " off"}${fault === undefined ? "" : " faulty"}`}>
      <div class="change-head">
        <input type="checkbox" role="switch" aria-label={`${label} acts`} checked={on} onChange={() => toggle(id)} />
        <button type="button" class="quiet change-name" aria-expanded={isOpen} onClick={() => (open.value = isOpen ? undefined : id)}>
          <strong>{name}</strong>
          <code>{summaryOf(intervention)}</code>
        </button>
        <span class="change-tools">
          <button type="button" class="quiet icon" disabled={at === 0} aria-label={`Move ${label} up`} title="Up" onClick={() => move(id, -1)}>
            ↑
          </button>
          <button type="button" class="quiet icon" disabled={at === count - 1} aria-label={`Move ${label} down`} title="Down" onClick={() => move(id, 1)}>
            ↓
          </button>
          <button type="button" class="quiet icon" aria-label={`Remove ${label}`} title="Remove" onClick={() => remove(id)}>
            ✕
          </button>
        </span>
      </div>
      {fault !== undefined && (
        <p class="bad">
          <code>{fault.field}</code>: {fault.description}
        </p>
      )}
      {on && effectOf(change) !== "" && <p class="faint">{effectOf(change)}</p>}
      {isOpen && <Editor change={change} />}
    </li>
  );
}

/** Returns the fields of an intervention in one short line. */
function summaryOf(intervention: Intervention): string {
  const json = Object.values(jsonOf(intervention))[0];
  const text = JSON.stringify(json).replaceAll('"', "").slice(1, -1);
  return text.length > 64 ? `${text.slice(0, 63)}…` : text;
}
