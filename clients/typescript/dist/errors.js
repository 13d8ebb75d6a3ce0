/** What can go wrong, with what the server said about it. */
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { Code, ConnectError } from "@connectrpc/connect";
/** A failed call. */
export class ScotomaError extends Error {
    name = "ScotomaError";
    /** The gRPC code; `Code.Unavailable` where the connection was lost. */
    code;
    /** The server's reason in capitals, for programs. */
    reason;
    /** The fields that were refused. */
    fields;
    /** Milliseconds after which another try may help. */
    retryAfter;
    constructor(code, message, details = {}) {
        super(message, { cause: details.cause });
        this.code = code;
        this.reason = details.reason;
        this.fields = details.fields ?? [];
        this.retryAfter = details.retryAfter;
    }
    /** The error of a call, whatever was thrown; `aborted` where this side has cancelled it. */
    static from(error, aborted = false) {
        if (error instanceof ScotomaError) {
            return error;
        }
        const said = ConnectError.from(error);
        const own = { cause: error };
        for (const detail of said.details) {
            if (!("type" in detail)) {
                continue;
            }
            switch (detail.type) {
                case "google.rpc.ErrorInfo":
                    own.reason = text(fieldsOf(detail.value), 1);
                    break;
                case "google.rpc.BadRequest":
                    own.fields = (fieldsOf(detail.value).get(1) ?? []).map((violation) => {
                        const parts = fieldsOf(violation);
                        return { field: text(parts, 1), description: text(parts, 2) };
                    });
                    break;
                case "google.rpc.RetryInfo": {
                    const delay = fieldsOf((fieldsOf(detail.value).get(1)?.[0] ?? new Uint8Array()));
                    own.retryAfter = Number(delay.get(1)?.[0] ?? 0) * 1e3 + Number(delay.get(2)?.[0] ?? 0) / 1e6;
                    break;
                }
            }
        }
        return new ScotomaError(code(said, aborted), said.rawMessage, own);
    }
}
/** Where this side sees that a connection is lost it says so in several ways; a server says these with a reason. */
function code(error, aborted) {
    const lost = [Code.Aborted, Code.Canceled, Code.Internal, Code.Unknown].includes(error.code);
    return lost && !aborted && error.details.length === 0 ? Code.Unavailable : error.code;
}
export const truncated = () => new ScotomaError(Code.DataLoss, "the stream ended early");
/** The fields of a message by their numbers: google.rpc's messages of details, which no package on npm has by themselves. */
function fieldsOf(bytes) {
    const reader = new BinaryReader(bytes);
    const all = new Map();
    while (reader.pos < reader.len) {
        const [number, wire] = reader.tag();
        let value = 0n;
        if (wire === 2) {
            value = reader.bytes();
        }
        else if (wire === 0) {
            value = reader.int64();
        }
        else {
            reader.skip(wire, number);
            continue;
        }
        all.set(number, [...(all.get(number) ?? []), value]);
    }
    return all;
}
function text(fields, number) {
    return new TextDecoder().decode(fields.get(number)?.[0]);
}
