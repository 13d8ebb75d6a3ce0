/** One question: its picture, its cells, and its answers in every way. */

import { useEffect, useRef } from "preact/hooks";

import { asText, partOf } from "../../items/columns";
import { pictureBlob } from "../../items/pictures";
import { answers, files, found, questionOf, table, tick, ticked, ways } from "../../items/state";
import { go } from "../../route";
import { pose } from "../../state/question";
import { Bars, Picture } from "./wall";

/** Letters of a cell that are shown. */
const LONGEST = 300;

export function Details({ place, close }: { place: number; close: () => void }) {
  answers.value;
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const element = dialog.current!;
    if (!element.open) element.showModal();
  }, []);
  const own = table.value!;
  const row = own.rows[place]!;
  const item = found.value.items.get(row.id);
  const show = async (view: string) => {
    const blob = pictureBlob(own, row, files.value);
    if (blob === undefined) return;
    pose(new Uint8Array(await blob.arrayBuffer()), `${own.name}, ${row.id}`, questionOf(row));
    close();
    go(view);
  };
  const texts = Object.entries(row.cells)
    .map(([name, value]) => [name, value instanceof Uint8Array ? `${value.length} bytes` : asText(value)] as const)
    .filter(([, text]) => text !== "");
  return (
    <dialog ref={dialog} class="card" aria-label={`Question ${row.id}`} onClose={close}>
      <div class="stack">
        <div class="row spread">
          <h2>Question {row.id}</h2>
          <button type="button" class="quiet" onClick={() => dialog.current?.close()}>
            Close
          </button>
        </div>
        <div class="details">
          <div class="stack">
            <div class="details-picture">
              <Picture own={own} row={row} place={place} />
            </div>
            <Bars item={item} />
            <label class="check">
              <input type="checkbox" checked={ticked.value.has(place)} onChange={(event) => tick(place, event.currentTarget.checked)} /> Keep it
            </label>
            <div class="row">
              <button type="button" class="small" onClick={() => void show("ask")}>
                Ask and change
              </button>
              <button type="button" class="small" onClick={() => void show("look")}>
                Look inside
              </button>
            </div>
          </div>
          <div class="stack">
            <p>
              <b>{questionOf(row)}</b>
            </p>
            <p>
              Right: <b>{asText(partOf(row.cells, "answer"))}</b>
              {item?.answer !== undefined && (
                <>
                  {" "}
                  · the model: <b class={item.right ? "good" : "bad"}>{item.text.trim() || item.answer || "(nothing)"}</b>
                </>
              )}
            </p>
            {item?.error !== undefined && item.error !== "" && <p class="bad">{item.error}</p>}
            <table>
              <thead>
                <tr>
                  <th scope="col">asked</th>
                  <th scope="col">answered</th>
                  <th scope="col">it is</th>
                </tr>
              </thead>
              <tbody>
                {ways.value.map(({ name }) => {
                  const one = item?.byWay.get(name);
                  return (
                    <tr key={name}>
                      <td>{name}</td>
                      <td>{one?.answer}</td>
                      <td class={one === undefined ? "faint" : one.right ? "good" : "bad"}>{one === undefined ? "not asked" : one.right ? "✓ right" : "✗ wrong"}</td>
                    </tr>
                  );
                })}
              </tbody>
            </table>
            <details>
              <summary>The row as it stands</summary>
              <dl class="cells">
                {texts.map(([name, text]) => (
                  <div key={name}>
                    <dt>{name}</dt>
                    <dd>{text.length > LONGEST ? `${text.slice(0, LONGEST)}… (${text.length} letters)` : text}</dd>
                  </div>
                ))}
              </dl>
            </details>
          </div>
        </div>
      </div>
    </dialog>
  );
}
