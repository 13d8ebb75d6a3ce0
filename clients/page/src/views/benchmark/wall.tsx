/** A wall of questions: sorted, filtered, ticked. Only what is seen is drawn, so that it can be long. */

import { signal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

import { percent } from "../../draw/scale";
import { type Item, type Order, OPEN } from "../../items/analysis";
import { asText, optionsOf, partOf } from "../../items/columns";
import { pictureBlob } from "../../items/pictures";
import {
  answers,
  categories,
  categoryOf,
  descending,
  files,
  filter,
  found,
  order,
  questionOf,
  saveKept,
  shown,
  table,
  tick,
  ticked,
  tickShown,
} from "../../items/state";
import type { ItemRow, Table } from "../../items/table";
import { Details } from "./details";

const [CARD_WIDTH, CARD_HEIGHT, GAP] = [208, 292, 12];
/** Rows of cards that are drawn above and below what is seen. */
const SPARE = 2;
/** Pictures that stay decoded. */
const MOST_PICTURES = 300;

/** The question whose details are open. */
export const opened = signal<number | undefined>(undefined);

export function Wall() {
  const places = shown.value;
  const rows = table.value?.rows ?? [];
  return (
    <section class="card stack" aria-label="Questions">
      <Orders />
      <div class="row spread">
        <span aria-live="polite">
          {places.length === rows.length ? `${rows.length} questions` : `${places.length} of ${rows.length} questions`} · <b>{ticked.value.size}</b>{" "}
          ticked
        </span>
        <span class="row">
          <button type="button" class="small" disabled={places.length === 0} onClick={() => tickShown(true)}>
            Tick all shown
          </button>
          <button type="button" class="small" disabled={places.length === 0} onClick={() => tickShown(false)}>
            Untick all shown
          </button>
          <button type="button" class="primary small" disabled={ticked.value.size === 0} onClick={saveKept}>
            Download kept.{table.value?.ending} ({ticked.value.size})
          </button>
        </span>
      </div>
      {places.length === 0 ? <p>No question passes.</p> : <Cards places={places} />}
      {opened.value !== undefined && <Details place={opened.value} close={() => (opened.value = undefined)} />}
    </section>
  );
}

const orders: [Order, string][] = [
  ["file", "as in the file"],
  ["need", "need of the picture"],
  ["stability", "stability"],
  ["difficulty", "difficulty"],
];

function Orders() {
  const now = filter.value;
  const set = (change: Partial<typeof now>) => (filter.value = { ...now, ...change });
  const share = (name: "need" | "stability" | "difficulty", label: string) => (
    <label class="share">
      <span>
        {label} {percent(now[name])}
      </span>
      <input
        type="range"
        min={0}
        max={1}
        step={0.05}
        value={now[name]}
        aria-valuetext={percent(now[name])}
        onInput={(event) => set({ [name]: Number(event.currentTarget.value) })}
      />
    </label>
  );
  return (
    <div class="orders">
      <label>
        Order
        <select value={order.value} onChange={(event) => (order.value = event.currentTarget.value as Order)}>
          {orders.map(([value, name]) => (
            <option key={value} value={value}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <label class="check">
        <input type="checkbox" checked={descending.value} onChange={(event) => (descending.value = event.currentTarget.checked)} />
        most first
      </label>
      <label>
        Words
        <input type="search" value={now.words} onInput={(event) => set({ words: event.currentTarget.value })} />
      </label>
      {categories.value.length > 1 && (
        <label>
          Category
          <select value={now.category} onChange={(event) => set({ category: event.currentTarget.value })}>
            <option value="">all</option>
            {categories.value.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
      )}
      <label>
        Answer
        <select value={now.right} onChange={(event) => set({ right: event.currentTarget.value as typeof now.right })}>
          <option value="">right or wrong</option>
          <option value="right">right</option>
          <option value="wrong">wrong</option>
        </select>
      </label>
      {share("need", "need ≥")}
      {share("stability", "stability ≥")}
      {share("difficulty", "difficulty ≤")}
      <button type="button" class="small" disabled={now === OPEN} onClick={() => (filter.value = OPEN)}>
        Show all
      </button>
    </div>
  );
}

function Cards({ places }: { places: number[] }) {
  const frame = useRef<HTMLDivElement>(null);
  const [[top, height, width], setSeen] = useState<[number, number, number]>([0, 720, 1000]);
  useLayoutEffect(() => {
    const element = frame.current!;
    const measure = () => setSeen([element.scrollTop, element.clientHeight, element.clientWidth]);
    const watcher = new ResizeObserver(measure);
    watcher.observe(element);
    element.addEventListener("scroll", measure, { passive: true });
    return () => {
      watcher.disconnect();
      element.removeEventListener("scroll", measure);
    };
  }, []);
  const inRow = Math.max(1, Math.floor((width + GAP) / (CARD_WIDTH + GAP)));
  const count = Math.ceil(places.length / inRow);
  const pitch = CARD_HEIGHT + GAP;
  const first = Math.max(0, Math.floor(top / pitch) - SPARE);
  const last = Math.min(count, Math.ceil((top + height) / pitch) + SPARE);
  const drawn = places.slice(first * inRow, last * inRow);
  return (
    <div class="wall" ref={frame} tabIndex={0} role="region" aria-label="Wall of questions">
      <div role="list" style={{ height: `${count * pitch - GAP}px` }}>
        {drawn.map((place, i) => {
          const at = first * inRow + i;
          const [row, column] = [Math.floor(at / inRow), at % inRow];
          const room = (width - (inRow - 1) * GAP) / inRow;
          const style = { top: `${row * pitch}px`, left: `${column * (room + GAP)}px`, width: `${room}px`, height: `${CARD_HEIGHT}px` };
          return (
            <div key={place} role="listitem" aria-setsize={places.length} aria-posinset={at + 1} style={style}>
              <Card place={place} />
            </div>
          );
        })}
      </div>
    </div>
  );
}

function Card({ place }: { place: number }) {
  answers.value;
  const own = table.value!;
  const row = own.rows[place]!;
  const item = found.value.items.get(row.id);
  const question = questionOf(row);
  const on = ticked.value.has(place);
  return (
    <article class={`item ${on ? "on" : ""}`}>
      <button type="button" class="item-picture" aria-label={`Details of question ${row.id}`} onClick={() => (opened.value = place)}>
        <Picture own={own} row={row} place={place} />
      </button>
      <label class="item-tick">
        <input type="checkbox" checked={on} onChange={(event) => tick(place, event.currentTarget.checked)} />
        <span class="item-question" title={question}>
          {question || `Row ${row.number}`}
        </span>
      </label>
      <p class="item-answer">
        <span class="faint" title={optionsOf(row.cells)}>
          {asText(partOf(row.cells, "answer"))}
        </span>
        {item?.answer !== undefined && (
          <span class={item.right ? "good" : "bad"}>
            {item.right ? "✓" : "✗"} {item.answer || item.text.trim() || "(nothing)"}
          </span>
        )}
        {item?.error !== undefined && item.error !== "" && (
          <span class="bad" title={item.error}>
            not asked
          </span>
        )}
        {categoryOf(row) !== "" && <span class="faint item-category">{categoryOf(row)}</span>}
      </p>
      <Bars item={item} />
    </article>
  );
}

/** The three shares of a question. */
export function Bars({ item }: { item: Item | undefined }) {
  return (
    <dl class="bars">
      {(["need", "stability", "difficulty"] as const).map((name) => {
        const value = item?.[name] ?? NaN;
        return (
          <div key={name}>
            <dt>{name}</dt>
            <dd>
              <i class={name} style={{ width: `${Number.isNaN(value) ? 0 : 100 * value}%` }} />
              <span>{Number.isNaN(value) ? "–" : `${Math.round(100 * value)}`}</span>
            </dd>
          </div>
        );
      })}
    </dl>
  );
}

/** Addresses of pictures by place, the last used last. */
const urls = new Map<number, string | undefined>();
let urlsOf: Table | undefined;

const addressOf = (blob: Blob | undefined) => (blob === undefined ? undefined : URL.createObjectURL(blob));

function urlAt(own: Table, row: ItemRow, place: number): string | undefined {
  if (urlsOf !== own) {
    for (const url of urls.values()) if (url !== undefined) URL.revokeObjectURL(url);
    urls.clear();
    urlsOf = own;
  }
  const url = urls.has(place) ? urls.get(place) : addressOf(pictureBlob(own, row, files.value));
  urls.delete(place);
  urls.set(place, url);
  if (urls.size > MOST_PICTURES) {
    const [oldest] = urls.keys();
    const old = urls.get(oldest!);
    if (old !== undefined) URL.revokeObjectURL(old);
    urls.delete(oldest!);
  }
  return url;
}

export function Picture({ own, row, place }: { own: Table; row: ItemRow; place: number }) {
  const [failed, setFailed] = useState(false);
  useEffect(() => setFailed(false), [own, place]);
  const url = urlAt(own, row, place);
  if (url === undefined || failed) return <span class="no-picture faint">no picture</span>;
  return <img src={url} alt="" onError={() => setFailed(true)} />;
}
