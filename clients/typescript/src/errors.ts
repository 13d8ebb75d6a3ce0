/** What can go wrong, with what the server said about it. */

import { BinaryReader } from "@bufbuild/protobuf/wire";
import { Code, ConnectError } from "@connectrpc/connect";

/** A field of the request that the server refused. */
export interface FieldViolation {
  /** Its path, `interventions[0].drop_layers.layers[1]` for instance. */
  field: string;
  /** What is wrong and what would be valid. */
  description: string;
}

interface Details {
  reason?: string | undefined;
  fields?: FieldViolation[];
  retryAfter?: number | undefined;
  requestId?: string | undefined;
  cause?: unknown;
}

/** A failed call. */
export class ScotomaError extends Error {
  override readonly name = "ScotomaError";
  /** The gRPC code; `Code.Unavailable` where the connection was lost. */
  readonly code: Code;
  /** The server's reason in capitals, for programs. */
  readonly reason: string | undefined;
  /** The fields that were refused. */
  readonly fields: FieldViolation[];
  /** Milliseconds after which another try may help. */
  readonly retryAfter: number | undefined;
  /** Names the request in the server's log. */
  readonly requestId: string | undefined;

  constructor(
    code: Code,
    message: string,
    details: Details = {},
  ) {
    super(message, { cause: details.cause });
    this.code = code;
    this.reason = details.reason;
    this.fields = details.fields ?? [];
    this.retryAfter = details.retryAfter;
    this.requestId = details.requestId;
  }

  /** The same error of a call that was named so, where the server named it not. */
  of(requestId: string): ScotomaError {
    const { reason, fields, retryAfter, cause } = this;
    return this.requestId ? this : new ScotomaError(this.code, this.message, { reason, fields, retryAfter, cause, requestId });
  }

  /** The same error in other words. */
  saying(message: string): ScotomaError {
    const { reason, fields, retryAfter, requestId } = this;
    return new ScotomaError(this.code, message, { reason, fields, retryAfter, requestId, cause: this });
  }

  /** The error of a call, whatever was thrown; `aborted` where this side has cancelled it. */
  static from(error: unknown, aborted = false): ScotomaError {
    if (error instanceof ScotomaError) {
      return error;
    }
    const said = ConnectError.from(error);
    const own: Details = { cause: error };
    for (const detail of said.details) {
      if (!("type" in detail)) {
        continue;
      }
      switch (detail.type) {
        case "google.rpc.ErrorInfo":
          own.reason = text(fieldsOf(detail.value), 1);
          for (const entry of fieldsOf(detail.value).get(3) ?? []) {
            const parts = fieldsOf(entry as Uint8Array);
            if (text(parts, 1) === "request_id") {
              own.requestId = text(parts, 2);
            }
          }
          break;
        case "google.rpc.BadRequest":
          own.fields = (fieldsOf(detail.value).get(1) ?? []).map((violation) => {
            const parts = fieldsOf(violation as Uint8Array);
            return { field: text(parts, 1), description: text(parts, 2) };
          });
          break;
        case "google.rpc.RetryInfo": {
          const delay = fieldsOf((fieldsOf(detail.value).get(1)?.[0] ?? new Uint8Array()) as Uint8Array);
          own.retryAfter = Number(delay.get(1)?.[0] ?? 0) * 1e3 + Number(delay.get(2)?.[0] ?? 0) / 1e6;
          break;
        }
      }
    }
    return new ScotomaError(code(said, aborted), said.rawMessage, own);
  }
}

/** Where this side sees that a connection is lost it says so in several ways; a server says these with a reason. */
function code(error: ConnectError, aborted: boolean): Code {
  const lost = [Code.Aborted, Code.Canceled, Code.Internal, Code.Unknown].includes(error.code);
  return lost && !aborted && error.details.length === 0 ? Code.Unavailable : error.code;
}

export const truncated = () => new ScotomaError(Code.DataLoss, "the stream ended early");

/** The fields of a message by their numbers: google.rpc's messages of details, which no package on npm has by themselves. */
function fieldsOf(bytes: Uint8Array): Map<number, (Uint8Array | bigint | string)[]> {
  const reader = new BinaryReader(bytes);
  const all = new Map<number, (Uint8Array | bigint | string)[]>();
  while (reader.pos < reader.len) {
    const [number, wire] = reader.tag();
    let value: Uint8Array | bigint | string = 0n;
    if (wire === 2) {
      value = reader.bytes();
    } else if (wire === 0) {
      value = reader.int64();
    } else {
      reader.skip(wire, number);
      continue;
    }
    all.set(number, [...(all.get(number) ?? []), value]);
  }
  return all;
}

function text(fields: Map<number, unknown[]>, number: number): string {
  return new TextDecoder().decode(fields.get(number)?.[0] as Uint8Array | undefined);
}
