/** Both answers side by side, and how likely the unchanged one still is. */

import { useState } from "preact/hooks";
import { FinishReason, type Token } from "scotoma/v1";

import { type Answered, asking, changed, type Compared, compared, unchanged } from "../state/answers";
import { interventions, question } from "../state/question";
import { sampleShown } from "../state/samples";
import { ErrorNotice } from "../ui/notice";

/** Writes a probability as a share of hundred. */
export function percent(logprob: number): string {
  const value = Math.exp(logprob) * 100;
  if (value >= 99.95) return "100 %";
  if (value >= 0.1) return `${value.toFixed(value >= 10 ? 0 : 1)} %`;
  return value >= 1e-3 ? `${value.toPrecision(1)} %` : "under 0.001 %";
}

/** Writes a token so that spaces and ends can be seen. */
function visible(text: string): string {
  if (text === "") return "(end)";
  return text.replaceAll("\n", "↵").replaceAll(" ", "␣");
}

export function AnswersCard() {
  const count = interventions.value.length;
  return (
    <section class="card stack answers" aria-labelledby="answers-title" aria-busy={asking}>
      <h2 id="answers-title">
        What it answers {question.value.trim() !== "" && <span class="asked">to “{question.value.trim()}”</span>}
      </h2>
      <div class={count > 0 ? "two" : "one"}>
        <AnswerBox title="Without changes" of={unchanged} />
        {count > 0 && <AnswerBox title={count === 1 ? "With your change" : `With your ${count} changes`} of={changed} />}
      </div>
      {count === 0 && <p class="faint">Nothing is changed yet. Hide a patch of the picture, or add a change below, and a second answer appears here.</p>}
      {compared.value !== undefined && <Comparison of={compared.value} />}
      <Announcement />
    </section>
  );
}

/** Says answers to those who hear the page, once they are whole. */
function Announcement() {
  const [before, after] = [unchanged.value, changed.value];
  const said = [
    before?.is === "done" ? `Without changes: ${before.text.trim()}` : "",
    after?.is === "done" ? `With changes: ${after.text.trim()}` : "",
  ].filter((text) => text !== "");
  return (
    <p class="unseen" aria-live="polite">
      {asking.value ? "" : said.join(". ")}
    </p>
  );
}

/** Whether an answer is the right one of a sample; undefined where that is not known. */
function isRight(answer: Answered): boolean | undefined {
  const sample = sampleShown.value;
  if (sample === undefined || sample.question !== question.value || answer.is !== "done") return undefined;
  return answer.text.trim().toLowerCase() === sample.answer.toLowerCase();
}

/** An answer, which reads its signal itself: a token draws this box and nothing around it. */
function AnswerBox({ title, of }: { title: string; of: typeof unchanged }) {
  const answer = of.value;
  const right = answer === undefined ? undefined : isRight(answer);
  return (
    <div class="answer" data-is={answer?.is ?? "none"}>
      <div class="row spread">
        <h3>{title}</h3>
        {right !== undefined && <span class={`mark ${right ? "good" : "bad"}`}>{right ? "✓ right" : "✗ wrong"}</span>}
      </div>
      {answer === undefined ? <p class="said faint">…</p> : <Said answer={answer} />}
    </div>
  );
}

/** An answer with its tokens, the one at hand in figures, and a table of all. */
function Said({ answer }: { answer: Answered }) {
  const [chosen, choose] = useState<number | undefined>(undefined);
  const { tokens, is } = answer;
  const at = chosen === undefined || chosen >= tokens.length ? undefined : tokens[chosen];
  return (
    <>
      <Tokens tokens={tokens} running={is === "running"} choose={choose} />
      {answer.error !== undefined && <ErrorNotice error={answer.error} />}
      {is === "stopped" && <p class="faint">Stopped.</p>}
      <p class="faint detail">{at === undefined ? summary(answer) : <Detail token={at} />}</p>
      {tokens.length > 0 && <TokenTable tokens={tokens} />}
    </>
  );
}

/** All tokens as a table, which is made when it is opened: an answer that streams is drawn with each token. */
function TokenTable({ tokens }: { tokens: Token[] }) {
  const [opened, setOpened] = useState(false);
  return (
    <details onToggle={(event) => setOpened(event.currentTarget.open)}>
      <summary>Tokens as a table</summary>
      {opened && (
        <div class="scroll" tabIndex={0} role="group" aria-label="Tokens">
          <table>
            <thead>
              <tr>
                <th scope="col">Token</th>
                <th scope="col" class="number">
                  Probability
                </th>
                <th scope="col">Next likeliest</th>
              </tr>
            </thead>
            <tbody>
              {tokens.map((token, index) => (
                <tr key={index}>
                  <td class="mono">{visible(token.text)}</td>
                  <td class="number">{percent(token.logprob)}</td>
                  <td class="mono">{others(token)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </details>
  );
}

function summary({ is, tokens, finished, firstMs }: Answered): string {
  if (is === "running") return tokens.length === 0 ? "Reading…" : `${tokens.length} tokens so far.`;
  if (finished?.usage === undefined) return "";
  const end = finished.reason === FinishReason.LENGTH ? ", cut at the most tokens" : finished.reason === FinishReason.STOP ? ", ended by a stop text" : "";
  return `${tokens.length} tokens${end}, first after ${Math.round(firstMs ?? 0)} ms. Point at a token for its probability.`;
}

function others(token: Token): string {
  const rest = token.top.filter(({ id }) => id !== token.id).slice(0, 3);
  return rest.map(({ text, logprob }) => `${visible(text)} ${percent(logprob)}`).join(", ");
}

function Detail({ token }: { token: Token }) {
  return (
    <>
      <strong class="mono">{visible(token.text)}</strong> had {percent(token.logprob)}
      {token.top.length > 1 && <>; next: {others(token)}</>}
    </>
  );
}

/** The words of an answer, each shaded by its probability. Arrow keys go from token to token. */
function Tokens({ tokens, running, choose }: { tokens: Token[]; running: boolean; choose: (at: number | undefined) => void }) {
  const [cursor, setCursor] = useState(0);
  const keyed = (event: KeyboardEvent) => {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (by === 0) return;
    event.preventDefault();
    const next = Math.min(tokens.length - 1, Math.max(0, cursor + by));
    setCursor(next);
    ((event.currentTarget as HTMLElement).children[next] as HTMLElement | undefined)?.focus();
  };
  return (
    <div class={running ? "said running" : "said"} role="group" aria-label="Answer by tokens" onKeyDown={keyed} onMouseLeave={() => choose(undefined)}>
      {tokens.map((token, at) => (
        <span
          key={at}
          role="img"
          class="token"
          aria-label={`${visible(token.text)}, ${percent(token.logprob)}`}
          style={{ "--p": Math.exp(token.logprob).toFixed(3) }}
          tabIndex={at === Math.min(cursor, tokens.length - 1) ? 0 : -1}
          onMouseEnter={() => choose(at)}
          onFocus={() => choose(at)}
          onBlur={() => choose(undefined)}
        >
          {token.text === "" ? "⏎" : token.text}
        </span>
      ))}
    </div>
  );
}

/** What the changes did to the likelihood of the unchanged answer. */
function Comparison({ of }: { of: Compared }) {
  const isSame = unchanged.value?.text === changed.value?.text;
  const widest = Math.max(1, ...of.tokens.map(({ before, after }) => Math.abs(after.logprob - before.logprob)));
  return (
    <div class="comparison stack">
      <p class="finding">
        <strong>{isSame ? "Same answer." : "Another answer."}</strong> The likelihood of “{unchanged.value?.text.trim()}” went from{" "}
        <strong>{percent(of.before)}</strong> to <strong>{percent(of.after)}</strong>.
      </p>
      <div class="scroll" tabIndex={0} role="group" aria-label="Differences by token">
        <table class="differences">
          <caption class="unseen">The answer without changes, token by token: its log-probability without and with the changes</caption>
          <thead>
            <tr>
              <th scope="col">Token</th>
              <th scope="col" class="number">
                Without
              </th>
              <th scope="col" class="number">
                With
              </th>
              <th scope="col" class="number">
                Difference
              </th>
              <th scope="col" class="bar-head">
                <span class="unseen">As a bar</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {of.tokens.map(({ text, before, after }, at) => {
              const difference = after.logprob - before.logprob;
              return (
                <tr key={at}>
                  <td class="mono">{visible(text)}</td>
                  <td class="number">{signed(before.logprob, "")}</td>
                  <td class="number">{signed(after.logprob, "")}</td>
                  <td class={`number ${difference < -0.01 ? "bad" : difference > 0.01 ? "good" : ""}`}>{signed(difference, "+")}</td>
                  <td>
                    <span class={difference < 0 ? "bar less" : "bar more"} style={{ width: `${(Math.abs(difference) / widest) * 100}%` }} />
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
      <p class="faint">Log-probabilities, natural. 0 is certain; a difference of −2.3 makes a token ten times less likely.</p>
    </div>
  );
}

/** Writes a number with its sign; `plus` stands before those above zero. */
function signed(value: number, plus: string): string {
  const digits = Math.abs(value).toFixed(3);
  if (Number(digits) === 0) return digits;
  return `${value < 0 ? "−" : plus}${digits}`;
}
