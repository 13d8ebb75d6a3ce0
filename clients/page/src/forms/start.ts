/** Makes the values that fields and messages begin with. */

import { create, type DescField, type DescMessage, type Message } from "@bufbuild/protobuf";

/** What a field of a oneof holds when it is chosen. */
export function blank(field: DescField): unknown {
  if (field.fieldKind === "message") return started(field.message);
  if (field.fieldKind === "enum") return field.enum.values[1]?.number ?? 0;
  if (field.fieldKind !== "scalar") return undefined;
  return field.scalar === 9 ? "" : field.scalar === 12 ? new Uint8Array() : field.scalar === 8 ? true : isLong(field.scalar) ? 1n : 0;
}

/** Returns a message whose first choices are made. */
export function started(desc: DescMessage): Message {
  const message = create(desc) as Message & Record<string, unknown>;
  for (const oneof of desc.oneofs) {
    const [first] = oneof.fields;
    if (first !== undefined) message[oneof.localName] = { case: first.localName, value: blank(first) };
  }
  return message;
}

/** Whether a scalar type has 64 bits, and so is a bigint. */
export function isLong(scalar: number): boolean {
  return [3, 4, 6, 16, 18].includes(scalar);
}
