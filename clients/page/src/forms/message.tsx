/** Makes controls of a message from its descriptor, so that a field that the contract gains appears by itself. */

import { clone, create, type DescField, type DescMessage, type DescOneof, type Message } from "@bufbuild/protobuf";
import { createContext } from "preact";
import { useContext, useId } from "preact/hooks";

import { commentOf, firstSentence, type Surroundings } from "./hints";
import { words } from "./names";
import { BytesInput, EnumInput, ListInput, MapInput, ScalarInput } from "./scalars";
import { blank, started } from "./start";

/** Tells the controls what the model has. */
export const Around = createContext<Surroundings>({ model: undefined, hookPoints: [] });

/** A message of any kind, whose fields are read by their names. */
type Any = Message & Record<string, unknown>;
type Choice = { case: string | undefined; value?: unknown };

interface Props {
  desc: DescMessage;
  message: Message;
  /** Takes another message in its place. */
  change: (message: Message) => void;
}

/** Returns the message with a field changed; undefined takes it away. */
function withField(desc: DescMessage, message: Message, name: string, value: unknown): Message {
  const copy = clone(desc, message) as Any;
  if (value === undefined) delete copy[name];
  else copy[name] = value;
  // Fields that have no presence come back with their default.
  return create(desc, copy as never);
}

/** The controls of all fields, in the order of the contract. */
export function MessageForm({ desc, message, change }: Props) {
  const own = message as Any;
  const set = (name: string, value: unknown) => change(withField(desc, message, name, value));
  if (desc.fields.length === 0) return <p class="faint">Nothing to choose.</p>;
  return (
    <div class="form">
      {desc.members.map((member) =>
        member.kind === "oneof" ? (
          <OneofField key={member.name} oneof={member} message={message} set={(value) => set(member.localName, value)} />
        ) : (
          <FieldControl key={member.name} field={member} message={message} value={own[member.localName]} set={(value) => set(member.localName, value)} />
        ),
      )}
    </div>
  );
}

/** A choice between fields, and the control of the chosen one. */
function OneofField({ oneof, message, set }: { oneof: DescOneof; message: Message; set: (value: Choice) => void }) {
  const id = useId();
  const chosen = (message as Any)[oneof.localName] as Choice;
  const field = oneof.fields.find(({ localName }) => localName === chosen.case);
  const choose = (name: string) => {
    const next = oneof.fields.find(({ localName }) => localName === name);
    set(next === undefined ? { case: undefined } : { case: name, value: blank(next) });
  };
  const value = (given: unknown) => {
    if (field !== undefined) set({ case: field.localName, value: given ?? blank(field) });
  };
  return (
    <div class="field">
      <label for={id}>{words(oneof.name)}</label>
      <select id={id} value={chosen.case ?? ""} onChange={(event) => choose(event.currentTarget.value)} aria-describedby={`${id}-hint`}>
        <option value="">Not chosen</option>
        {oneof.fields.map((each) => (
          <option key={each.name} value={each.localName}>
            {words(each.name)}
          </option>
        ))}
      </select>
      <span id={`${id}-hint`} class="hint">
        {firstSentence(commentOf(field ?? oneof))}
      </span>
      {field !== undefined && <FieldControl field={field} message={message} value={chosen.value} set={value} inner />}
    </div>
  );
}

interface FieldProps {
  field: DescField;
  message: Message;
  value: unknown;
  set: (value: unknown) => void;
  /** It is the chosen one of a oneof, whose label it has. */
  inner?: boolean;
}

/** The control of one field. */
function FieldControl({ field, message, value, set, inner = false }: FieldProps) {
  const around = useContext(Around);
  const id = useId();
  const label = words(field.name);
  const comment = commentOf(field);
  if (field.fieldKind === "message" || (field.fieldKind === "list" && field.listKind === "message")) {
    return <Nested field={field} value={value} set={set} inner={inner} />;
  }
  const shared = { id, label, comment, message, around, set, describedBy: inner ? undefined : `${id}-hint` };
  return (
    <div class={inner ? "field inner" : "field"}>
      {field.fieldKind === "enum" ? (
        <EnumInput {...shared} field={field} value={value as number} />
      ) : field.fieldKind === "map" ? (
        <MapInput {...shared} value={value as Record<string, number>} />
      ) : field.fieldKind === "list" ? (
        <ListInput {...shared} field={field} value={value as unknown[]} />
      ) : field.scalar === 12 ? (
        <BytesInput {...shared} value={value as Uint8Array} />
      ) : (
        <ScalarInput {...shared} field={field} value={value} />
      )}
      {!inner && (
        <span id={`${id}-hint`} class="hint" title={comment}>
          {firstSentence(comment)}
        </span>
      )}
    </div>
  );
}

/** A message within, or a list of them, each in a frame of its own. */
function Nested({ field, value, set, inner }: { field: DescField; value: unknown; set: (value: unknown) => void; inner: boolean }) {
  const desc = field.message as DescMessage;
  const label = words(field.name);
  if (field.fieldKind === "list") {
    const list = value as Message[];
    return (
      <fieldset class="nested">
        <legend>{label}</legend>
        <span class="hint">{firstSentence(commentOf(field))}</span>
        {list.map((each, at) => (
          <div key={at} class="nested">
            <MessageForm desc={desc} message={each} change={(next) => set(list.map((old, index) => (index === at ? next : old)))} />
            <button type="button" class="small" onClick={() => set(list.filter((_, index) => index !== at))}>
              Remove {label.toLowerCase()} {at + 1}
            </button>
          </div>
        ))}
        <button type="button" class="small" onClick={() => set([...list, started(desc)])}>
          Add to {label.toLowerCase()}
        </button>
      </fieldset>
    );
  }
  const message = value as Message | undefined;
  if (inner) return desc.fields.length === 0 ? null : <MessageForm desc={desc} message={message ?? create(desc)} change={set} />;
  return (
    <fieldset class="nested">
      <legend>
        <label class="row">
          <input type="checkbox" checked={message !== undefined} onChange={(event) => set(event.currentTarget.checked ? started(desc) : undefined)} />
          {label}
        </label>
      </legend>
      <span class="hint">{firstSentence(commentOf(field))}</span>
      {message !== undefined && <MessageForm desc={desc} message={message} change={set} />}
    </fieldset>
  );
}
