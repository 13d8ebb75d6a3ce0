/** What to take along: code, the record, and a link. */

import { create, toJsonString } from "@bufbuild/protobuf";
import { useState } from "preact/hooks";
import { ScotomaError } from "scotoma";
import { type VerifyResponse, VerifyRequestSchema } from "scotoma/v1";

import { type Answered, changed, maxTokens, request, sampleKey, sampling, sent, stops, unchanged } from "../state/answers";
import { changes, imageOf, interventions, type Picture, picture, question } from "../state/question";
import { sampleShown } from "../state/samples";
import { address, apiKey, client, model, notice } from "../state/server";
import { ErrorNotice, Notice } from "../ui/notice";
import { LONGEST, write } from "./link";
import { asPython, type Carried } from "./python";
import { wrongLink } from "./reopen";
import { asCommand, asCurl, asJson } from "./shell";

const forms: { name: string; say: string; write: (carried: Carried) => string }[] = [
  { name: "Python", say: "With the Python client; it has no need of this page.", write: asPython },
  { name: "Command line", say: "With the program that serves this page.", write: asCommand },
  { name: "JSON", say: "The changes as presets, variants of benchmarks and extra_body of OpenAI's API take them.", write: asJson },
  { name: "curl", say: "Over OpenAI's API, without any client.", write: asCurl },
];

export function CarryCard() {
  const [at, choose] = useState(0);
  const form = forms[at];
  const base = request.value;
  if (form === undefined || base === undefined) return null;
  const carried: Carried = {
    address,
    keyed: apiKey.value !== "",
    file: picture.value?.name,
    request: base,
    interventions: interventions.value,
  };
  const keyed = (event: KeyboardEvent) => {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (by === 0) return;
    event.preventDefault();
    const next = (at + by + forms.length) % forms.length;
    choose(next);
    ((event.currentTarget as HTMLElement).children[next] as HTMLElement | undefined)?.focus();
  };
  return (
    <section class="card stack" aria-labelledby="carry-title">
      <h2 id="carry-title">Carry it away</h2>
      {wrongLink.value !== "" && <Notice kind="error" title="The link cannot be opened">{wrongLink.value}</Notice>}
      <div class="segments" role="tablist" aria-label="Form" onKeyDown={keyed}>
        {forms.map(({ name }, index) => (
          <button key={name} type="button" role="tab" id={`form-${index}`} aria-selected={index === at} aria-controls="form" tabIndex={index === at ? 0 : -1} onClick={() => choose(index)}>
            {name}
          </button>
        ))}
      </div>
      <div id="form" role="tabpanel" aria-labelledby={`form-${at}`} class="stack">
        <p class="faint">{form.say}</p>
        <Code text={form.write(carried)} />
      </div>
      <PictureFile />
      <Record />
      <Link />
    </section>
  );
}

/** Copies a text, also where the page has no clipboard: over plain HTTP from another machine. */
async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

function Code({ text }: { text: string }) {
  const [said, say] = useState("");
  const copied = async () => {
    say((await copy(text)) ? "Copied." : "The browser does not let this page copy; mark the text.");
    setTimeout(() => say(""), 4000);
  };
  return (
    <div class="code">
      <pre tabIndex={0} aria-label="Code">{text}</pre>
      <div class="row">
        <button type="button" class="small" onClick={() => void copied()}>
          Copy
        </button>
        <span class="faint" aria-live="polite">
          {said}
        </span>
      </div>
    </div>
  );
}

/** The file that the code above reads. */
function PictureFile() {
  const shown = picture.value;
  if (shown === undefined || shown.url === "") return null;
  return (
    <p>
      <a href={shown.url} download={shown.name}>
        Save the picture
      </a>{" "}
      <span class="faint">as {shown.name}, which the code reads.</span>
    </p>
  );
}

/** Saves a text as a file. */
function save(text: string, name: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const link = document.createElement("a");
  [link.href, link.download] = [url, name];
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Returns the record of an answer with its picture, as `scotoma replay` reads it. */
export function recordOf(answer: Answered, shown: Picture | undefined): string {
  const provenance = answer.finished?.provenance;
  const images = shown === undefined ? [] : [imageOf(shown)];
  return toJsonString(VerifyRequestSchema, create(VerifyRequestSchema, { ...(provenance !== undefined && { provenance }), images }));
}

function Record() {
  const [verdict, setVerdict] = useState<VerifyResponse | ScotomaError | undefined>(undefined);
  const [verified, setVerified] = useState<Answered | undefined>(undefined);
  const [busy, setBusy] = useState(false);
  const answer = interventions.value.length > 0 ? changed.value : unchanged.value;
  const provenance = answer?.finished?.provenance;
  const verify = async () => {
    if (answer === undefined || provenance === undefined) return;
    setBusy(true);
    try {
      const images = picture.value === undefined ? [] : [await sent(picture.value)];
      setVerdict(await client.value.verify({ provenance, images }));
    } catch (error) {
      notice(error);
      setVerdict(ScotomaError.from(error));
    }
    setVerified(answer);
    setBusy(false);
  };
  return (
    <div class="stack">
      <h3>The record</h3>
      <p class="faint">
        Everything that repeats the answer bit for bit: seeds, the choices made, digests of weights, picture and output.{" "}
        {provenance !== undefined && (
          <>
            Its digest is <code>{provenance.digest.slice(0, 16)}…</code>
          </>
        )}
      </p>
      <div class="row">
        <button type="button" disabled={provenance === undefined} onClick={() => answer !== undefined && save(recordOf(answer, picture.value), "record.json")}>
          Download
        </button>
        <button type="button" disabled={provenance === undefined || busy} onClick={() => void verify()}>
          Verify
        </button>
        <span aria-live="polite">
          {verified === answer && verdict !== undefined && !(verdict instanceof ScotomaError) && (
            <span class={verdict.agrees ? "good" : "bad"}>{verdict.agrees ? "✓ Run again: the same bits." : `✗ It differs: ${verdict.differences.map(({ stage }) => stage).join(", ")}`}</span>
          )}
        </span>
      </div>
      {verified === answer && verdict instanceof ScotomaError && <ErrorNotice error={verdict} />}
    </div>
  );
}

/** Returns the address that opens all this again; an own picture is kept on the server first. */
async function linkOf(): Promise<string> {
  const shown = picture.value;
  const sample = sampleShown.value;
  let handle = "";
  if (shown !== undefined && sample === undefined) {
    const kept = shown.handle === undefined ? await client.value.uploadImage(shown.bytes) : imageOf(shown);
    handle = kept.source.case === "handle" ? kept.source.value : "";
  }
  const params = write({
    question: question.value,
    model: model.value?.name ?? "",
    sample: sample?.id ?? "",
    handle,
    name: shown?.name ?? "",
    changes: changes.value,
    sampling: sampling.value,
    maxTokens: maxTokens.value,
    stops: stops.value,
    sampleKey: sampleKey.value,
  });
  return `${location.origin}${location.pathname}#/ask?${params}`;
}

function Link() {
  const [link, setLink] = useState("");
  const [said, say] = useState("");
  const make = async () => {
    try {
      const made = await linkOf();
      if (made.length > LONGEST) {
        say(`The link would have ${made.length.toLocaleString()} characters, more than ${LONGEST.toLocaleString()}: carry the JSON instead.`);
        return;
      }
      setLink(made);
      say((await copy(made)) ? "Copied." : "Mark it and copy it.");
    } catch (error) {
      notice(error);
      say(ScotomaError.from(error).message);
    }
  };
  return (
    <div class="stack">
      <h3>A link</h3>
      <p class="faint">
        Opens this question with its changes again.
        {picture.value !== undefined && sampleShown.value === undefined && " Your picture is kept on this server, and found there until others need the room."}
      </p>
      <div class="row">
        <button type="button" onClick={() => void make()}>
          Copy link
        </button>
        <span class="faint" aria-live="polite">
          {said}
        </span>
      </div>
      {link !== "" && <input type="text" readOnly value={link} aria-label="Link" onFocus={(event) => event.currentTarget.select()} />}
    </div>
  );
}
