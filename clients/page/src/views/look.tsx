/** The view Look: attention, the logit lens, occlusion and patching of the question that stands there. */

import { signal } from "@preact/signals";
import type { ComponentType } from "preact";
import { useEffect } from "preact/hooks";

import { look, looked, lookKey, lookTask, outdated } from "../look/run";
import { prompt } from "../state/question";
import { model } from "../state/server";
import { Notice } from "../ui/notice";
import { TaskState } from "../ui/task";
import { AttentionPanel } from "./look/attention";
import { QuestionBar } from "./look/bar";
import { LensPanel } from "./look/lens";
import { OcclusionPanel } from "./look/occlusion";
import { PatchingPanel } from "./look/patching";
import "../styles/look.css";

const panels: { name: string; title: string; panel: ComponentType }[] = [
  { name: "attention", title: "Attention", panel: AttentionPanel },
  { name: "lens", title: "Logit lens", panel: LensPanel },
  { name: "occlusion", title: "Occlusion map", panel: OcclusionPanel },
  { name: "patching", title: "Patching grid", panel: PatchingPanel },
];

const chosen = signal("attention");

/** The question that was looked at by itself; what the user types afterwards waits for the button. */
let begun = "";

export function LookView() {
  const [asked, info] = [prompt.value, model.value];
  useEffect(() => {
    if (asked === undefined || info === undefined || lookTask.progress.value !== undefined) return;
    if (looked.value === undefined && begun === "") {
      begun = lookKey.value;
      void look();
    }
  }, [asked, info]);
  const shown = panels.find(({ name }) => name === chosen.value) ?? panels[0]!;
  const Panel = shown.panel;
  return (
    <div class="stack look">
      <QuestionBar />
      <TaskState task={lookTask} name="Looking inside" />
      {outdated.value && lookTask.progress.value === undefined && (
        <Notice kind="hint">The question, the picture or the changes are others than those that were looked at. Look again to see them.</Notice>
      )}
      {looked.value !== undefined && (
        <section class="card stack">
          <Tabs />
          <div role="tabpanel" id="look-panel" aria-labelledby={`look-tab-${shown.name}`} class="stack">
            <Panel />
          </div>
        </section>
      )}
    </div>
  );
}

function Tabs() {
  const onKey = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const now = panels.findIndex(({ name }) => name === chosen.value);
    const next = panels[(now + step + panels.length) % panels.length]!;
    chosen.value = next.name;
    document.getElementById(`look-tab-${next.name}`)?.focus();
  };
  return (
    <div class="switch" role="tablist" aria-label="Ways to look" onKeyDown={onKey}>
      {panels.map(({ name, title }) => (
        <button
          key={name}
          type="button"
          role="tab"
          id={`look-tab-${name}`}
          aria-selected={chosen.value === name}
          aria-controls="look-panel"
          tabIndex={chosen.value === name ? 0 : -1}
          onClick={() => (chosen.value = name)}
        >
          {title}
        </button>
      ))}
    </div>
  );
}
