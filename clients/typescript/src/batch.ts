/** Benchmarks from a browser, which cannot send while it receives: a batch of questions in one request body. */

import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import { createGrpcWebTransport } from "@connectrpc/connect-web";

import { baseUrl, keyed, type Question, requests } from "./client.js";
import { ScotomaError, truncated } from "./errors.js";
import { BenchmarkService, EvaluateHeaderSchema, type EvaluateRequest, EvaluateRequestSchema, type EvaluateResponse } from "./v1.js";

/** Who asks, and how to end it. */
export interface BatchSettings {
  /** The key of a server that needs one. */
  apiKey?: string;
  /** Cancels the call. */
  signal?: AbortSignal;
}

/**
 * Evaluates a batch of questions and yields the events of `Evaluate` as they come; leaving the loop cancels. All questions are sent
 * before the first event is read, so that a batch should be small: some tens of questions.
 */
export async function* evaluateBatch(
  address: string,
  header: MessageInitShape<typeof EvaluateHeaderSchema>,
  questions: AsyncIterable<Question> | Iterable<Question>,
  settings: BatchSettings = {},
): AsyncGenerator<EvaluateResponse, void, void> {
  const first = create(EvaluateRequestSchema, { event: { case: "header", value: create(EvaluateHeaderSchema, header) } });
  const rest: EvaluateRequest[] = [];
  for await (const request of requests(questions)) {
    rest.push(request);
  }
  if (rest.length > 0) {
    // Alone before the questions: a server that refuses a header closes the connection, and what it says is lost to who still sends.
    for await (const _ of exchange(address, [first], settings));
  }
  yield* exchange(address, [first, ...rest], settings);
}

/** Sends messages in one body and yields those that come back. */
async function* exchange(
  address: string,
  messages: EvaluateRequest[],
  { apiKey, signal }: BatchSettings,
): AsyncGenerator<EvaluateResponse, void, void> {
  const body = new Blob(messages.map((message) => encodeEnvelope(0, toBinary(EvaluateRequestSchema, message))));
  const transport = createGrpcWebTransport({
    baseUrl: baseUrl(address),
    interceptors: keyed(apiKey),
    // The transport writes one message; the format has room for more behind it.
    fetch: (url, init) => fetch(url, { ...init, body }),
  });
  const method = { ...BenchmarkService.method.evaluate, methodKind: "server_streaming" as const };
  const abort = new AbortController();
  const either = signal ? AbortSignal.any([signal, abort.signal]) : abort.signal;
  try {
    const response = await transport.stream(method as never, either, undefined, undefined, only(messages[0]));
    let last: EvaluateResponse | undefined;
    for await (const event of response.message as AsyncIterable<EvaluateResponse>) {
      last = event;
      yield event;
    }
    if (last?.event.case !== "finished") {
      throw truncated();
    }
  } catch (error) {
    throw ScotomaError.from(error, either.aborted);
  } finally {
    abort.abort();
  }
}

async function* only(message: EvaluateRequest | undefined) {
  yield message as never;
}
