/**
 * A benchmark on its way: one stream for each server, and what goes on where one of them is lost.
 *
 * Every question is settled (the server said so), on its way to a server, or waits in a backlog. A server that is lost gives back
 * what was on its way; the next one, or the same one when it is there again, is told what is known and asked what is not.
 */

import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";

import { type Call, digest, hash, imagesOf, isLost, Patience, sleep } from "./call.js";
import { ScotomaError, truncated } from "./errors.js";
import { byWeight, type Server, type Servers } from "./servers.js";
import { begin, type Begun } from "./stream.js";
import {
  type EvaluateHeader,
  EvaluateHeaderSchema,
  type EvaluateRequest,
  EvaluateRequestSchema,
  type EvaluateResponse,
  type EvaluateStarted,
  type Row,
  type SampleResult,
} from "./v1.js";

/** Questions that wait for the server that has their picture; further ones go to whoever asks. */
const BACKLOG = 32;
const LOOK_MS = 50;

/** One stream to one server, and the questions on their way on it. */
class Connection {
  readonly server: Server;
  readonly number: number;
  pending: EvaluateRequest[] = [];
  settled = 0n;
  /** So many known results were sent; a question that another server was asked needs those that came since. */
  told = 0;
  isBehind = true;
  isDead = false;
  begun: Begun<EvaluateResponse> | undefined;
  readonly going: Promise<void>;
  go: () => void = () => {};

  constructor(server: Server, number: number) {
    this.server = server;
    this.number = number;
    this.going = new Promise((resolve) => (this.go = resolve));
  }

  cancel(): void {
    this.isDead = true;
    this.go();
    this.begun?.abort.abort();
  }
}

/** A benchmark on all servers of a client. */
export class Run {
  readonly #servers: Servers;
  readonly #call: Call;
  #header: EvaluateHeader;
  /** Results, with the connection on which each came; 0: an earlier run. */
  readonly #known: { of: number; result: SampleResult }[];
  readonly #source: AsyncIterator<EvaluateRequest>;
  readonly #patience: Patience;
  #reading: Promise<unknown> = Promise.resolve();
  #orphans: EvaluateRequest[] = [];
  readonly #backlogs = new Map<Server, EvaluateRequest[]>();
  readonly #live = new Map<Server, Connection>();
  readonly #failed = new Map<string, number>();
  readonly #isSingle: boolean;
  #connections = 0;
  #answers = 0;
  #computed = 0n;
  #isRead = false;
  #isOver = false;
  #started: EvaluateStarted | undefined;
  #first: Connection | undefined;
  readonly #begunAt = Date.now();
  readonly #abort = new AbortController();
  /** What went wrong with the questions. */
  broken: unknown;

  constructor(
    servers: Servers,
    call: Call,
    header: EvaluateHeader,
    known: SampleResult[],
    source: AsyncIterator<EvaluateRequest>,
  ) {
    this.#servers = servers;
    this.#call = call;
    this.#header = header;
    this.#known = known.map((result) => ({ of: 0, result }));
    this.#source = source;
    this.#patience = new Patience(servers.patienceMs, call.timeoutMs);
    // What a capture has kept is on one server, and the others would refuse the variants.
    this.#isSingle = servers.all.length === 1 || call.handles.length > 0;
    for (const server of servers.all) {
      this.#backlogs.set(server, []);
    }
    this.#abort.signal.addEventListener("abort", () => this.cancel(), { once: true });
    call.signal?.addEventListener("abort", () => this.cancel(), { once: true });
  }

  /** Waits until a server has taken the header. */
  async begin(): Promise<Begun<EvaluateResponse>> {
    const first = await this.#servers.sent(this.#call, (server) => this.#connect(server));
    const response = first.begun?.first as EvaluateResponse;
    this.#first = first;
    this.#started = response.event.value as EvaluateStarted;
    // The same seeds on every server.
    this.#header = this.#started.header ?? this.#header;
    return { first: response, rest: this.#events(first), abort: this.#abort, requestId: this.#call.requestId };
  }

  /** Asks the questions. */
  go(): void {
    this.#first?.go();
  }

  /** Tells all servers to stop. */
  cancel(): void {
    this.#isOver = true;
    this.#first?.cancel();
    for (const connection of this.#live.values()) {
      connection.cancel();
    }
  }

  async #connect(server: Server): Promise<Connection> {
    this.#connections += 1;
    const connection = new Connection(server, this.#connections);
    const left = this.#patience.left;
    try {
      connection.begun = await begin(
        (signal) =>
          server.benchmarks.evaluate(this.#requests(connection), {
            headers: this.#call.headers,
            signal,
            ...(left !== undefined && { timeoutMs: left }),
          }),
        this.#call.signal,
      );
    } catch (error) {
      connection.cancel();
      throw error;
    }
    if (connection.begun.first.event.case !== "started") {
      throw truncated();
    }
    this.#live.set(server, connection);
    return connection;
  }

  async *#requests(connection: Connection): AsyncGenerator<EvaluateRequest> {
    yield create(EvaluateRequestSchema, { event: { case: "header", value: this.#header } });
    // The header goes alone, so that it can go again; questions are asked for once the run has begun.
    await connection.going;
    while (!connection.isDead) {
      const asked = await this.#take(connection);
      for (const result of this.#news(connection)) {
        yield create(EvaluateRequestSchema, { event: { case: "known", value: result } });
      }
      if (asked === undefined) {
        return;
      }
      yield asked;
    }
  }

  /** Results that a server needs, so that nothing is answered twice. */
  #news(connection: Connection): SampleResult[] {
    if (!connection.isBehind) {
      return [];
    }
    const news = this.#known.slice(connection.told).filter(({ of }) => of !== connection.number);
    connection.told = this.#known.length;
    connection.isBehind = false;
    return news.map(({ result }) => result);
  }

  /** The next question for a connection; undefined where there is none for now. */
  async #take(connection: Connection): Promise<EvaluateRequest | undefined> {
    for (;;) {
      let found: EvaluateRequest | "again" | undefined = this.#waiting(connection);
      if (found === undefined) {
        // One at a time: what another connection has read in the meantime may be for this one.
        const turn = this.#reading.then(async () => this.#waiting(connection) ?? (await this.#read(connection)));
        this.#reading = turn;
        found = await turn;
      }
      if (found === "again") {
        continue;
      }
      if (found !== undefined) {
        await this.#bring(connection.server, found);
      }
      return found;
    }
  }

  #waiting(connection: Connection): EvaluateRequest | undefined {
    if (connection.isDead) {
      return undefined;
    }
    connection.isBehind ||= this.#orphans.length > 0;
    const asked = this.#orphans.shift() ?? this.#backlogs.get(connection.server)?.shift();
    if (asked !== undefined) {
      connection.pending.push(asked);
    }
    return asked;
  }

  /** Reads one question; "again" where it is for another server. */
  async #read(connection: Connection): Promise<EvaluateRequest | "again" | undefined> {
    if (this.#isRead || connection.isDead) {
      return undefined;
    }
    let asked: EvaluateRequest;
    try {
      const next = await this.#source.next();
      if (next.done === true) {
        this.#isRead = true;
        return undefined;
      }
      asked = next.value;
    } catch (error) {
      this.broken = error;
      this.#isRead = true;
      return undefined;
    }
    if (connection.isDead) {
      this.#orphans.push(asked);
      return undefined;
    }
    const picture = this.#live.size > 1 ? pictureAsked(asked) : "";
    const owner = picture === "" ? connection.server : byWeight([...this.#live.keys()], picture)[0];
    const backlog = this.#backlogs.get(owner ?? connection.server) ?? [];
    if (owner !== connection.server && backlog.length < BACKLOG) {
      backlog.push(asked);
      return "again";
    }
    connection.pending.push(asked);
    return asked;
  }

  async #bring(server: Server, asked: EvaluateRequest): Promise<void> {
    const images = imagesOf(asked.event.value);
    const handles = images.filter(({ source }) => source?.case === "handle").map(digest);
    if (handles.length > 0) {
      // The result of this question will say what is wrong, or the connection is lost.
      await this.#servers.bring(server, handles, { headers: this.#call.headers }).catch(() => {});
    }
  }

  /** Takes back what was on its way. */
  #lose(connection: Connection): void {
    connection.cancel();
    this.#retire(connection);
    this.#servers.forget(connection.server);
  }

  #retire(connection: Connection): void {
    connection.isDead = true;
    this.#orphans.push(...connection.pending.splice(0), ...(this.#backlogs.get(connection.server)?.splice(0) ?? []));
    if (this.#live.get(connection.server) === connection) {
      this.#live.delete(connection.server);
    }
  }

  #isDone(): boolean {
    const isAsked =
      [...this.#live.values()].some(({ pending }) => pending.length > 0) ||
      [...this.#backlogs.values()].some((backlog) => backlog.length > 0);
    return this.#isOver || (this.#isRead && this.#orphans.length === 0 && !isAsked);
  }

  /** What the servers say, as if they were one. */
  async *#events(first: Connection): AsyncGenerator<EvaluateResponse, void, void> {
    if (this.#isSingle) {
      yield* this.#lane(first.server, first);
      return;
    }
    const said: (EvaluateResponse | undefined)[] = [];
    let going = this.#servers.all.length;
    let failure: { error: unknown } | undefined;
    let wake = () => {};
    const pump = async (server: Server) => {
      try {
        for await (const event of this.#lane(server, server === first.server ? first : undefined)) {
          if (event.event.case === "result") {
            said.push(event);
            wake();
          }
        }
      } catch (error) {
        failure ??= { error };
      }
      going -= 1;
      wake();
    };
    void Promise.all(this.#servers.all.map(pump));
    while (going > 0 || said.length > 0) {
      const event = said.shift();
      if (event !== undefined) {
        yield event;
      } else if (failure !== undefined) {
        this.cancel();
        throw failure.error;
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (said.length > 0 || going === 0 || failure !== undefined) {
            resolve();
          }
        });
      }
    }
    if (failure !== undefined) {
      throw (failure as { error: unknown }).error;
    }
    yield await this.#tally();
  }

  /** What one server says, over all of its connections. */
  async *#lane(server: Server, first: Connection | undefined): AsyncGenerator<EvaluateResponse, void, void> {
    let connection = first;
    while (connection !== undefined || !this.#isDone()) {
      try {
        connection ??= await this.#reconnect(server);
        let finished: EvaluateResponse | undefined;
        for await (const event of this.#told(connection)) {
          this.#patience.renew();
          if (event.event.case === "finished") {
            finished = event;
          } else if (event.event.case !== "settled") {
            yield event;
          }
        }
        if (finished === undefined) {
          throw new ScotomaError(Code.Unavailable, "the stream ended early");
        }
        connection.pending = [];
        this.#retire(connection);
        if (this.#isSingle) {
          yield this.#whole(finished, connection.number);
          return;
        }
        connection = undefined;
        while (this.#orphans.length === 0 && !this.#isDone()) {
          await sleep(LOOK_MS);
        }
      } catch (thrown) {
        const isOver = this.#isOver || this.#call.signal?.aborted;
        const error = ScotomaError.from(thrown, isOver).of(this.#call.requestId);
        if (connection !== undefined) {
          this.#lose(connection);
        }
        connection = undefined;
        if (isOver) {
          throw error;
        }
        await this.#rest(server, error);
      }
    }
  }

  async #reconnect(server: Server): Promise<Connection> {
    const connection = await this.#connect(server);
    const now = connection.begun?.first.event.value as EvaluateStarted;
    for (const [name, field] of [["model digest", "modelDigest"], ["server version", "serverVersion"]] as const) {
      const then = this.#started?.[field];
      if (then !== now[field]) {
        this.#lose(connection);
        const message = `${server.address}: another ${name}, ${now[field]}; the run began with ${then}`;
        throw new ScotomaError(Code.FailedPrecondition, message);
      }
    }
    connection.go();
    return connection;
  }

  async *#told(connection: Connection): AsyncGenerator<EvaluateResponse, void, void> {
    const rest = connection.begun?.rest;
    for (let next = await rest?.next(); next !== undefined && next.done !== true; next = await rest?.next()) {
      const { event } = next.value;
      if (event.case === "settled") {
        while (connection.settled < event.value.questions && connection.pending.shift() !== undefined) {
          connection.settled += 1n;
        }
      } else if (event.case === "result") {
        this.#count(event.value, connection.number);
      }
      yield next.value;
    }
  }

  #count(result: SampleResult, number: number): void {
    const name = JSON.stringify([result.id, result.variant]);
    this.#answers += 1;
    this.#computed += result.usage?.rowsComputed ?? 0n;
    if (result.error !== undefined) {
      this.#failed.set(name, number);
    } else {
      this.#failed.delete(name);
      this.#known.push({ of: number, result });
    }
  }

  /** Waits until a server that was lost may be there again; throws where that takes too long. */
  async #rest(server: Server, error: ScotomaError): Promise<void> {
    if (!isLost(error)) {
      throw error;
    }
    server.lost();
    let wait = this.#patience.wait(error);
    if (wait === undefined) {
      if (this.#live.size === 0) {
        throw error.saying(`${error.message}; ${this.#missing()}`);
      }
      wait = 1000; // Others go on.
    }
    const until = Date.now() + wait;
    while (Date.now() < until && !this.#isDone()) {
      await sleep(Math.min(LOOK_MS, wait));
    }
  }

  #missing(): string {
    const pending = [...this.#live.values()].reduce((sum, connection) => sum + connection.pending.length, 0);
    const asked = this.#orphans.length + pending;
    const answers = asked * Math.max(1, this.#header.variants.length);
    const rest = this.#isRead ? "" : ", and all to questions that were not asked yet";
    return `${this.#answers} answers came, up to ${answers} to ${asked} questions that were asked are missing${rest}`;
  }

  /** Adds to the end what only earlier connections have seen. */
  #whole(response: EvaluateResponse, number: number): EvaluateResponse {
    if (number > 1 && response.event.case === "finished") {
      const finished = response.event.value;
      const earlier = BigInt([...this.#failed.values()].filter((of) => of < number).length);
      finished.results += earlier;
      finished.failed += earlier;
      finished.rowsComputed = finished.rowsComputed > this.#computed ? finished.rowsComputed : this.#computed;
      finished.totalSeconds = (Date.now() - this.#begunAt) / 1000;
    }
    return response;
  }

  /** Asks a server what the results of all of them come to. */
  async #tally(): Promise<EvaluateResponse> {
    // Nothing is judged again.
    const header = create(EvaluateHeaderSchema, { ...this.#header, unjudged: true });
    const known = this.#known;
    async function* everything(): AsyncGenerator<EvaluateRequest> {
      yield create(EvaluateRequestSchema, { event: { case: "header", value: header } });
      for (const { result } of known) {
        yield create(EvaluateRequestSchema, { event: { case: "known", value: result } });
      }
    }
    const last = await this.#servers.sent({ ...this.#call, timeoutMs: this.#patience.left }, async (server, options) => {
      for await (const event of server.benchmarks.evaluate(everything(), options)) {
        if (event.event.case === "finished") {
          return event;
        }
      }
      throw truncated();
    });
    return this.#whole(last, this.#connections + 1);
  }
}

/** What says of a question which picture it is about, as well as a client can know. */
function pictureAsked(asked: EvaluateRequest): string {
  const image = imagesOf(asked.event.value)[0];
  if (image !== undefined) {
    return digest(image);
  }
  if (asked.event.case !== "row") {
    return "";
  }
  const row: Row = asked.event.value;
  const file = Object.keys(row.files ?? {}).sort()[0];
  if (file !== undefined) {
    return hash(row.files[file] as Uint8Array);
  }
  // Of a table the longest cell is its picture in base64, if it has one.
  const cells = Object.values(row.cells ?? {});
  const texts = cells.length > 0 ? cells : (row.json ?? "").split('"');
  return hash(texts.reduce((longest, text) => (text.length > longest.length ? text : longest), ""));
}
