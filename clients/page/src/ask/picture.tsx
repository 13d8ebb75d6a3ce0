/** The picture: where it comes from, and as the model sees it, with a grid of patches to hide. */

import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Code } from "scotoma";
import samples from "virtual:samples";

import { hidden, hide } from "../state/hiding";
import { refused, seen } from "../state/preview";
import { picture, show } from "../state/question";
import { sampleShown, showSample } from "../state/samples";
import { Notice } from "../ui/notice";
import { cameraIsThere, CameraDialog } from "./camera";
import { PatchGrid } from "./patches";

/** Why a file was not taken. */
const wrong = signal("");
const cameraIsOpen = signal(false);
const dragging = signal(false);

/** Shows a file of the user's. */
async function take(file: File | undefined): Promise<void> {
  if (file === undefined) return;
  if (file.type !== "" && !file.type.startsWith("image/")) {
    wrong.value = `${file.name} is ${file.type}, and no picture.`;
    return;
  }
  show(new Uint8Array(await file.arrayBuffer()), file.name, file.type);
  sampleShown.value = undefined;
  wrong.value = "";
}

/** Takes a picture that is pasted anywhere. */
function paste(event: ClipboardEvent): void {
  const file = [...(event.clipboardData?.files ?? [])].find(({ type }) => type.startsWith("image/"));
  if (file === undefined) return;
  event.preventDefault();
  void take(file);
}

function over(event: DragEvent): void {
  event.preventDefault();
  dragging.value = true;
}

function drop(event: DragEvent): void {
  event.preventDefault();
  dragging.value = false;
  void take(event.dataTransfer?.files[0]);
}

export function PictureCard() {
  const file = useRef<HTMLInputElement>(null);
  useEffect(() => {
    addEventListener("paste", paste);
    return () => removeEventListener("paste", paste);
  }, []);
  return (
    <section
      class={`card stack${dragging.value ? " dragging" : ""}`}
      aria-labelledby="picture-title"
      onDragOver={over}
      onDragLeave={() => (dragging.value = false)}
      onDrop={drop}
    >
      <h2 id="picture-title">The picture, as the model sees it</h2>
      <Seen />
      <div class="row">
        <button type="button" onClick={() => file.current?.click()}>
          Own picture…
        </button>
        <input ref={file} hidden type="file" accept="image/*" aria-label="Own picture" onChange={(event) => void take(event.currentTarget.files?.[0])} />
        {cameraIsThere() && (
          <button type="button" onClick={() => (cameraIsOpen.value = true)}>
            Camera…
          </button>
        )}
        <span class="faint">or drop or paste one</span>
      </div>
      {isGone() && (
        <Notice kind="warning" title="The picture is not here">
          It is no longer on this server. Choose it again; question and changes stay.
        </Notice>
      )}
      {wrong.value !== "" && <Notice kind="error">{wrong.value}</Notice>}
      {cameraIsOpen.value && <CameraDialog take={take} close={() => (cameraIsOpen.value = false)} />}
      <Samples />
    </section>
  );
}

/** Whether the server has lost the picture that a link names. */
function isGone(): boolean {
  return picture.value?.handle !== undefined && refused.value?.code === Code.NotFound;
}

/** The picture with its grid, and what can be done with all patches. */
function Seen() {
  const shown = seen.value;
  const own = picture.value;
  if (shown === undefined || own === undefined) {
    return <div class="seen empty">{own !== undefined && <img src={own.url} alt={own.name} />}</div>;
  }
  const all = Array.from({ length: shown.gridRows * shown.gridColumns }, (_, patch) => patch);
  const invert = () => hide(all.filter((patch) => !hidden.value.has(patch)), true, true);
  return (
    <>
      <PatchGrid seen={shown} name={own.name} />
      <div class="row spread">
        <span class="faint">
          {hidden.value.size === 0 ? "Click or drag over patches to hide them." : `${hidden.value.size} of ${all.length} patches hidden.`}
        </span>
        <span class="row">
          <button type="button" class="small" disabled={hidden.value.size === 0} onClick={() => hide(all, false)}>
            Show all
          </button>
          <button type="button" class="small" onClick={invert}>
            Invert
          </button>
        </span>
      </div>
    </>
  );
}

function Samples() {
  return (
    <div>
      <span class="label" id="samples-label">
        Samples
      </span>
      <ul class="samples" aria-labelledby="samples-label">
        {samples.map((sample) => (
          <li key={sample.id}>
            <button type="button" aria-pressed={sampleShown.value === sample} title={sample.question} onClick={() => showSample(sample)}>
              <img src={`data:image/png;base64,${sample.png}`} alt={`${sample.category}: ${sample.question}`} width="48" height="48" />
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
