/** What comes as a stream. Iterating is streaming, leaving the loop cancels. */
import { ScotomaError, truncated } from "./errors.js";
import { DataType, } from "./v1.js";
/** Waits for the first message of a call. */
export async function begin(call, signal) {
    const abort = new AbortController();
    const rest = call(signal ? AbortSignal.any([signal, abort.signal]) : abort.signal)[Symbol.asyncIterator]();
    const next = await rest.next();
    if (next.done === true) {
        throw truncated();
    }
    return { first: next.value, rest, abort };
}
/** Messages after the first one; leaving the loop cancels. */
export async function* events({ rest, abort }) {
    try {
        for (let next = await rest.next(); next.done !== true; next = await rest.next()) {
            yield next.value;
        }
    }
    catch (error) {
        throw ScotomaError.from(error, abort.signal.aborted);
    }
    finally {
        abort.abort();
    }
}
/** Every message. */
export async function* all(begun) {
    try {
        yield begun.first;
        yield* events(begun);
    }
    finally {
        begun.abort.abort();
    }
}
/** What the streams have in common: items, and a last event. */
class Stream {
    #finished;
    #begun;
    #items;
    constructor(begun) {
        this.#begun = begun;
        this.#items = this.#iterate();
    }
    /** The last event; undefined before it has come. */
    get finished() {
        return this.#finished;
    }
    async *#iterate() {
        for await (const event of events(this.#begun)) {
            const { item, finished } = this.take(event);
            if (finished !== undefined) {
                this.#finished = finished;
            }
            if (item !== undefined) {
                yield item;
            }
        }
        if (this.#finished === undefined) {
            throw truncated();
        }
    }
    /** Items as they come; leaving the loop tells the server to stop. */
    [Symbol.asyncIterator]() {
        return this.#items;
    }
    /** Reads to the end. */
    async finish() {
        for await (const _ of this)
            ;
        if (this.#finished === undefined) {
            throw truncated();
        }
        return this.#finished;
    }
    /** Tells the server to stop. */
    cancel() {
        this.#begun.abort.abort();
    }
    /** Tells the server to stop at the end of a block, `await using`. */
    async [Symbol.asyncDispose]() {
        this.cancel();
    }
}
function part(event, name) {
    return event.case === name ? event.value : undefined;
}
/** `{item, finished}` without those that are not there. */
function found(item, finished) {
    return { ...(item !== undefined && { item }), ...(finished !== undefined && { finished }) };
}
function started(first) {
    const value = part(first.event, "started");
    if (value === undefined) {
        throw truncated();
    }
    return value;
}
/** A streamed answer: iterate over its tokens, or `finish()` it. */
export class Answer extends Stream {
    /** The first event: the request is admitted. */
    started;
    constructor(begun) {
        super(begun);
        this.started = started(begun.first);
    }
    take({ event }) {
        return found(part(event, "token"), part(event, "finished"));
    }
}
/** One input under many variants: a result for each as it is done. */
export class Sweep extends Stream {
    /** How many results will come. */
    started;
    constructor(begun) {
        super(begun);
        this.started = started(begun.first);
    }
    take({ event }) {
        return found(part(event, "result"), part(event, "finished"));
    }
}
/** Activations as they come. */
export class Capture extends Stream {
    /** The first event: the request is admitted. */
    started;
    #dtype;
    #parts = [];
    constructor(begun, dtype) {
        super(begun);
        this.started = started(begun.first);
        this.#dtype = dtype;
    }
    take({ event }) {
        const piece = part(event, "activation");
        const finished = part(event, "finished");
        if (piece === undefined) {
            return found(undefined, finished);
        }
        this.#parts.push(piece.data);
        if (this.#parts.reduce((sum, p) => sum + p.length, 0) < Number(piece.size)) {
            return {};
        }
        const { target, point, step, image, view, tokens, shape, top } = piece;
        const whole = { target, point, step, image, view, tokens, shape, top, values: values(this.#parts, this.#dtype) };
        this.#parts = [];
        return found(whole, finished);
    }
}
function values(parts, dtype) {
    const bytes = new Uint8Array(parts.reduce((sum, p) => sum + p.length, 0));
    parts.reduce((at, p) => (bytes.set(p, at), at + p.length), 0);
    const view = new DataView(bytes.buffer);
    switch (dtype) {
        case DataType.BF16: {
            const bits = new Uint32Array(bytes.length / 2).map((_, i) => view.getUint16(2 * i, true) << 16);
            return new Float32Array(bits.buffer);
        }
        case DataType.F16:
            return new Float32Array(bytes.length / 2).map((_, i) => half(view.getUint16(2 * i, true)));
        default:
            return new Float32Array(bytes.length / 4).map((_, i) => view.getFloat32(4 * i, true));
    }
}
/** Widens an IEEE half. */
function half(bits) {
    const [sign, exponent, fraction] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 0x1f, bits & 0x3ff];
    if (exponent === 0x1f) {
        return fraction === 0 ? sign * Infinity : NaN;
    }
    return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}
/** A benchmark that runs: a result for each question and variant as it comes. */
export class Evaluation extends Stream {
    /** Who answers, by which rule, with which seeds. */
    started;
    /** Results of an earlier run, which are not computed again. */
    known;
    /** What the results so far come to; now and then anew. */
    metrics = [];
    #sink;
    #broken;
    constructor(begun, known, sink, broken) {
        super(begun);
        this.started = started(begun.first);
        this.known = known;
        this.#sink = sink;
        this.#broken = broken;
    }
    take({ event }) {
        const result = part(event, "result");
        const finished = part(event, "finished");
        this.metrics = part(event, "progress")?.metrics ?? finished?.metrics ?? this.metrics;
        if (result !== undefined) {
            this.#sink?.add(result);
        }
        if (finished !== undefined) {
            this.#sink?.close();
            const error = this.#broken();
            if (error !== undefined) {
                throw error;
            }
        }
        return found(result, finished);
    }
}
