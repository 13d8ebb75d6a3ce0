/** Says what is looked at: the picture, the question, the changes, the model. */

import { useEffect } from "preact/hooks";
import samples from "virtual:samples";

import { look, lookTask } from "../../look/run";
import { interventionsJson, picture, pose, question, show } from "../../state/question";
import { chosenModel, model, models } from "../../state/server";

const bytesOf = (base64: string) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

/** Shows the sample at a place. */
function choose(place: number): void {
  const sample = samples[place];
  if (sample !== undefined) pose(bytesOf(sample.png), `Sample ${sample.id}`, sample.question);
}

async function take(files: FileList | null): Promise<void> {
  const file = files?.[0];
  if (file !== undefined) show(new Uint8Array(await file.arrayBuffer()), file.name, file.type);
}

export function QuestionBar() {
  useEffect(() => {
    if (picture.value === undefined && question.value === "") choose(0);
  }, []);
  const submit = (event: Event) => {
    event.preventDefault();
    void look();
  };
  const kinds = interventionsJson.value.map((one) => Object.keys(one)[0] ?? "");
  return (
    <form class="card look-bar" onSubmit={submit}>
      {picture.value === undefined || picture.value.url === "" ? <span class="no-picture faint">no picture</span> : <img src={picture.value.url} alt={picture.value.name} />}
      <div class="stack">
        <label for="look-question">Question</label>
        <div class="row">
          <input id="look-question" required value={question.value} onInput={(event) => (question.value = event.currentTarget.value)} />
          <button type="submit" class="primary" disabled={lookTask.progress.value !== undefined || model.value === undefined}>
            Look
          </button>
        </div>
        <div class="row">
          <label class="button small">
            Other picture
            <input type="file" class="unseen" accept="image/*" aria-label="Other picture" onChange={(event) => void take(event.currentTarget.files)} />
          </label>
          <select class="auto" aria-label="Sample" onChange={(event) => choose(event.currentTarget.selectedIndex - 1)}>
            <option>Samples</option>
            {samples.map(({ id, question: text, category }) => (
              <option key={id}>
                {category}: {text}
              </option>
            ))}
          </select>
          {models.value.length > 1 && (
            <select class="auto" aria-label="Model" value={model.value?.name ?? ""} onChange={(event) => (chosenModel.value = event.currentTarget.value)}>
              {models.value.map(({ name }) => (
                <option key={name}>{name}</option>
              ))}
            </select>
          )}
          <span class="faint">
            {kinds.length === 0 ? "No changes" : `Under ${kinds.join(", ")}`} · <a href="#/ask">Change</a>
          </span>
        </div>
      </div>
    </form>
  );
}
