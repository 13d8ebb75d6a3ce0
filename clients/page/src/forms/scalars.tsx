/** Controls of fields that hold no messages. */

import type { DescField } from "@bufbuild/protobuf";
import { useState } from "preact/hooks";

import { commentOfValue, countOf, firstSentence, namesFor, type Range, type Surroundings, writtenRange } from "./hints";
import { words } from "./names";
import { parseNumbers, writeNumbers } from "./numbers";
import { isLong } from "./start";

interface Shared {
  id: string;
  label: string;
  comment: string;
  /** The message that the field is of. */
  message: object;
  around: Surroundings;
  describedBy: string | undefined;
  /** Takes a value; undefined takes it away. */
  set: (value: unknown) => void;
}

type Of<Kind extends DescField["fieldKind"]> = Extract<DescField, { fieldKind: Kind }>;

const FLOATS = [1, 2];

/** A name of a value without the name of its enum. */
function short(name: string, prefix: string | undefined): string {
  return words(prefix !== undefined && name.toLowerCase().startsWith(prefix) ? name.slice(prefix.length) : name);
}

export function EnumInput({ id, label, field, value, set, describedBy }: Shared & { field: Of<"enum">; value: number | undefined }) {
  const { values, sharedPrefix } = field.enum;
  const chosen = values.find(({ number }) => number === value);
  return (
    <>
      <label for={id}>{label}</label>
      <select id={id} value={String(value ?? 0)} aria-describedby={describedBy} onChange={(event) => set(Number(event.currentTarget.value))}>
        {values.map(({ name, number }) => (
          <option key={name} value={String(number)} title={commentOfValue(field.enum, name)}>
            {number === 0 ? "Default" : short(name, sharedPrefix)}
          </option>
        ))}
      </select>
      {chosen !== undefined && chosen.number !== 0 && <span class="hint">{firstSentence(commentOfValue(field.enum, chosen.name))}</span>}
    </>
  );
}

export function ScalarInput(props: Shared & { field: Of<"scalar">; value: unknown }) {
  const { id, label, comment, field, value, set, message, around, describedBy } = props;
  if (field.scalar === 8) {
    return (
      <label class="row toggle">
        <input id={id} type="checkbox" role="switch" checked={value === true} aria-describedby={describedBy} onChange={(event) => set(event.currentTarget.checked)} />
        {label}
      </label>
    );
  }
  if (field.scalar === 9) {
    const names = namesFor(field, around);
    return (
      <>
        <label for={id}>{label}</label>
        <input id={id} type="text" list={`${id}-names`} value={(value as string | undefined) ?? ""} aria-describedby={describedBy} onChange={(event) => set(event.currentTarget.value)} />
        {names.length > 0 && (
          <datalist id={`${id}-names`}>
            {names.map((name) => (
              <option key={name} value={name} />
            ))}
          </datalist>
        )}
      </>
    );
  }
  if (isLong(field.scalar)) return <SeedInput {...props} />;
  const whole = !FLOATS.includes(field.scalar);
  const count = countOf(field, message, around);
  const range = count === undefined ? writtenRange(comment, whole) : { min: 0, max: count - 1, step: 1 };
  return <NumberInput {...{ id, label, set, describedBy }} value={value as number | undefined} range={range} whole={whole} optional={isOptional(field)} />;
}

/** Whether leaving a field out says something else than its zero. */
function isOptional(field: DescField): boolean {
  return field.presence === 1 && field.oneof === undefined;
}

/** A number with a slider where its range is known. */
function NumberInput(props: {
  id: string;
  label: string;
  value: number | undefined;
  range: Range | undefined;
  whole: boolean;
  optional: boolean;
  describedBy: string | undefined;
  set: (value: unknown) => void;
}) {
  const { id, label, value, range, whole, optional, set, describedBy } = props;
  const take = (text: string) => {
    if (text === "") return set(optional ? undefined : 0);
    const number = Number(text);
    if (Number.isFinite(number)) set(whole ? Math.max(0, Math.round(number)) : number);
  };
  return (
    <>
      <label for={id}>{label}</label>
      <div class="row slider">
        {range !== undefined && (
          <input type="range" aria-label={`${label}, slider`} {...range} value={value ?? range.min} onInput={(event) => take(event.currentTarget.value)} />
        )}
        <input
          id={id}
          type="number"
          inputMode="decimal"
          step={whole ? 1 : "any"}
          min={whole ? 0 : undefined}
          value={value ?? ""}
          placeholder={optional ? "Not set" : ""}
          aria-describedby={describedBy}
          onChange={(event) => take(event.currentTarget.value)}
        />
      </div>
    </>
  );
}

/** A number of 64 bits, most often a seed. */
function SeedInput({ id, label, field, value, set, describedBy }: Shared & { field: Of<"scalar">; value: unknown }) {
  const optional = isOptional(field);
  const take = (text: string) => {
    if (text === "") set(optional ? undefined : 0n);
    else if (/^\d{1,20}$/.test(text)) set(BigInt.asUintN(64, BigInt(text)));
  };
  const roll = () => set(BigInt(crypto.getRandomValues(new Uint16Array(1))[0] ?? 1));
  return (
    <>
      <label for={id}>{label}</label>
      <div class="row slider">
        <input
          id={id}
          type="text"
          inputMode="numeric"
          pattern="\d*"
          value={value === undefined ? "" : String(value)}
          placeholder="Drawn by the server"
          aria-describedby={describedBy}
          onChange={(event) => take(event.currentTarget.value.trim())}
        />
        <button type="button" class="small" onClick={roll}>
          Draw<span class="unseen"> {label}</span>
        </button>
      </div>
    </>
  );
}

/** Numbers: as switches where they count layers or heads, else as a text. */
export function ListInput(props: Shared & { field: Of<"list">; value: unknown[] }) {
  const { field, message, around } = props;
  const count = field.listKind === "scalar" ? countOf(field, message, around) : undefined;
  if (count !== undefined && count <= 128) return <Switches {...props} value={props.value as number[]} count={count} />;
  return <NumbersInput {...props} />;
}

function Switches({ label, value, count, set, describedBy }: Shared & { value: number[]; count: number }) {
  const toggle = (number: number) =>
    set(value.includes(number) ? value.filter((each) => each !== number) : [...value, number].sort((a, b) => a - b));
  return (
    <fieldset aria-describedby={describedBy}>
      <legend>{label}</legend>
      <div class="switches">
        {Array.from({ length: count }, (_, number) => (
          <button key={number} type="button" class="small" aria-pressed={value.includes(number)} aria-label={`${label} ${number}`} onClick={() => toggle(number)}>
            {number}
          </button>
        ))}
      </div>
    </fieldset>
  );
}

function NumbersInput({ id, label, field, value, set, describedBy }: Shared & { field: Of<"list">; value: unknown[] }) {
  const [wrong, setWrong] = useState("");
  const isText = field.listKind === "scalar" && field.scalar === 9;
  const whole = field.listKind !== "scalar" || !FLOATS.includes(field.scalar);
  const take = (text: string) => {
    if (isText) return set(text.split("\n").filter((line) => line !== ""));
    const numbers = parseNumbers(text, whole);
    setWrong(typeof numbers === "string" ? numbers : "");
    if (typeof numbers !== "string") set(numbers);
  };
  const written = isText ? value.join("\n") : writeNumbers(value.map(Number));
  return (
    <>
      <label for={id}>{label}</label>
      <input
        id={id}
        type="text"
        value={written}
        placeholder={whole ? "such as 0, 3-5" : "numbers with commas between them"}
        aria-describedby={describedBy}
        aria-invalid={wrong !== ""}
        onChange={(event) => take(event.currentTarget.value)}
      />
      {wrong !== "" && <span class="bad hint">{wrong}</span>}
    </>
  );
}

/** Numbers by numbers: `5: -1, 7: 2.5`. */
export function MapInput({ id, label, value, set, describedBy }: Shared & { value: Record<string, number> }) {
  const [wrong, setWrong] = useState("");
  const take = (text: string) => {
    const entries = text.split(",").filter((each) => each.trim() !== "");
    const pairs = entries.map((each) => /^\s*(\d+)\s*:\s*(-?[\d.]+(?:e[+-]?\d+)?)\s*$/i.exec(each));
    const at = pairs.indexOf(null);
    setWrong(at === -1 ? "" : `${entries[at]?.trim()}: not NUMBER: VALUE`);
    if (at === -1) set(Object.fromEntries(pairs.map((pair) => [pair?.[1], Number(pair?.[2])])));
  };
  const written = Object.entries(value).map(([key, each]) => `${key}: ${each}`).join(", ");
  return (
    <>
      <label for={id}>{label}</label>
      <input id={id} type="text" value={written} placeholder="such as 5: -1, 7: 2.5" aria-describedby={describedBy} aria-invalid={wrong !== ""} onChange={(event) => take(event.currentTarget.value)} />
      {wrong !== "" && <span class="bad hint">{wrong}</span>}
    </>
  );
}

/** The bytes of a file. */
export function BytesInput({ id, label, value, set, describedBy }: Shared & { value: Uint8Array }) {
  const take = async (file: File | undefined) => {
    if (file !== undefined) set(new Uint8Array(await file.arrayBuffer()));
  };
  return (
    <>
      <label for={id}>{label}</label>
      <input id={id} type="file" aria-describedby={describedBy} onChange={(event) => void take(event.currentTarget.files?.[0])} />
      <span class="hint">{value.length === 0 ? "No file yet." : `${value.length.toLocaleString()} bytes.`}</span>
    </>
  );
}
