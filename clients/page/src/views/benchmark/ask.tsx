/** How the questions of a table are asked, and what came of it in all. */

import { percent } from "../../draw/scale";
import { answers, ask, asked, askTask, doubled, found, rule, rules, saveItems, setRule, table, ways } from "../../items/state";
import { SETS } from "../../items/ways";
import { chosenModel, model, models } from "../../state/server";
import { Notice } from "../../ui/notice";
import { TaskState } from "../../ui/task";

export function AskPanel() {
  answers.value;
  const rows = table.value?.rows ?? [];
  const own = ways.value;
  const missing = rows.reduce((sum, { id }) => sum + own.filter(({ name }) => !found.value.has(id, name)).length, 0);
  const all = rows.length * own.length;
  const about = rules.value.find(({ name }) => name === rule.value)?.about;
  const running = askTask.progress.value !== undefined;
  const toggle = (name: string) => {
    const next = new Set(asked.value);
    if (!next.delete(name)) next.add(name);
    asked.value = next;
  };
  return (
    <section class="card stack" aria-label="Asking">
      {doubled.value > 0 && (
        <Notice kind="warning" title="Ids stand twice">
          {doubled.value} rows have the id of another one. The server answers the first of them.
        </Notice>
      )}
      <div class="look-form">
        <label>
          Answers are read as
          <select value={rule.value} disabled={running} onChange={(event) => setRule(event.currentTarget.value)}>
            {rules.value.map(({ name }) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        {models.value.length > 1 && (
          <label>
            Model
            <select value={model.value?.name ?? ""} disabled={running} onChange={(event) => (chosenModel.value = event.currentTarget.value)}>
              {models.value.map(({ name }) => (
                <option key={name}>{name}</option>
              ))}
            </select>
          </label>
        )}
        <p class="faint rule-about">{about}</p>
      </div>
      <fieldset class="ways">
        <legend>Each question is asked as it is, and</legend>
        {SETS.map(({ name, about: what }) => (
          <label key={name}>
            <input type="checkbox" checked={asked.value.has(name)} disabled={running} onChange={() => toggle(name)} />
            <span>
              {name}
              <span class="faint">{what}</span>
            </span>
          </label>
        ))}
      </fieldset>
      <div class="row">
        <button type="button" class="primary" disabled={running || missing === 0} onClick={() => void ask()}>
          {missing === 0 ? "All are asked" : missing < all ? `Go on: ${missing} of ${all} answers` : `Ask: ${all} answers`}
        </button>
        <button type="button" disabled={found.value.items.size === 0} onClick={saveItems}>
          items.csv
        </button>
      </div>
      <TaskState task={askTask} name="Asking" />
      <Totals />
    </section>
  );
}

/** Shares over all questions that were answered. */
function Totals() {
  answers.value;
  const items = [...found.value.items.values()].filter(({ answer }) => answer !== undefined);
  const failed = [...found.value.items.values()].filter(({ error }) => error !== "");
  if (items.length === 0 && failed.length === 0) return null;
  const mean = (value: (item: (typeof items)[number]) => number) => {
    const known = items.map(value).filter((one) => !Number.isNaN(one));
    return known.length === 0 ? NaN : known.reduce((a, b) => a + b, 0) / known.length;
  };
  return (
    <>
      <dl class="totals">
        {(
          [
            ["answered", String(items.length)],
            ["right", percent(mean(({ right }) => Number(right)))],
            ["need of the picture", percent(mean(({ need }) => need))],
            ["stability", percent(mean(({ stability }) => stability))],
            ["difficulty", percent(mean(({ difficulty }) => difficulty))],
          ] as const
        ).map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {failed.length > 0 && (
        <Notice kind="warning" title={`${failed.length} questions could not be asked`}>
          {failed[0]?.id}: {failed[0]?.error}
        </Notice>
      )}
    </>
  );
}
