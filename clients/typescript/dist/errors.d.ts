/** What can go wrong, with what the server said about it. */
import { Code } from "@connectrpc/connect";
/** A field of the request that the server refused. */
export interface FieldViolation {
    /** Its path, `interventions[0].drop_layers.layers[1]` for instance. */
    field: string;
    /** What is wrong and what would be valid. */
    description: string;
}
/** A failed call. */
export declare class ScotomaError extends Error {
    readonly name = "ScotomaError";
    /** The gRPC code; `Code.Unavailable` where the connection was lost. */
    readonly code: Code;
    /** The server's reason in capitals, for programs. */
    readonly reason: string | undefined;
    /** The fields that were refused. */
    readonly fields: FieldViolation[];
    /** Milliseconds after which another try may help. */
    readonly retryAfter: number | undefined;
    constructor(code: Code, message: string, details?: {
        reason?: string;
        fields?: FieldViolation[];
        retryAfter?: number;
        cause?: unknown;
    });
    /** The error of a call, whatever was thrown; `aborted` where this side has cancelled it. */
    static from(error: unknown, aborted?: boolean): ScotomaError;
}
export declare const truncated: () => ScotomaError;
