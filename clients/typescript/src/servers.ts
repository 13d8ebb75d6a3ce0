/** The servers that a client knows: which one a call goes to, and what each of them holds. */

import { create, createFileRegistry, type Message } from "@bufbuild/protobuf";
import { FieldDescriptorProto_Label, FieldDescriptorProto_Type, FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import {
  type CallOptions as ConnectOptions,
  type Client as ServiceClient,
  Code,
  ConnectError,
  createClient,
  type Transport,
} from "@connectrpc/connect";

import { type Call, isLost, Patience, type Settings, sleep, weight } from "./call.js";
import { ScotomaError } from "./errors.js";
import { begin, type Begun } from "./stream.js";
import { BenchmarkService, InferenceService, ModelService } from "./v1.js";

/** Of several servers each is asked again after this time whether it serves. */
const HEALTH_EVERY_MS = 2000;
const HEALTH_TIMEOUT_MS = 1000;
const SERVING = 1;
/** Bytes of uploads that are kept, so that they can go to another server; and how many handles are remembered. */
const UPLOADS = 64 << 20;
const HANDLES = 1 << 14;

/** grpc.health.v1, as far as it is asked: no package on npm has it by itself. */
export const health = (() => {
  const field = (name: string, type: FieldDescriptorProto_Type) => ({
    field: [{ name, number: 1, type, label: FieldDescriptorProto_Label.OPTIONAL }],
  });
  const file = create(FileDescriptorProtoSchema, {
    name: "grpc/health/v1/health.proto",
    package: "grpc.health.v1",
    syntax: "proto3",
    messageType: [
      { name: "HealthCheckRequest", ...field("service", FieldDescriptorProto_Type.STRING) },
      { name: "HealthCheckResponse", ...field("status", FieldDescriptorProto_Type.INT32) },
    ],
    service: [
      {
        name: "Health",
        method: [
          { name: "Check", inputType: ".grpc.health.v1.HealthCheckRequest", outputType: ".grpc.health.v1.HealthCheckResponse" },
        ],
      },
    ],
  });
  return createFileRegistry(file, () => undefined).getService("grpc.health.v1.Health");
})();

/** A server, and the way to it. */
export interface Way {
  address: string;
  transport: Transport;
}

/** An address without its scheme. */
export function bare(address: string): string {
  return address.replace(/^https?:\/\//, "").replace(/\/+$/, "");
}

/** One server. */
export class Server {
  readonly address: string;
  readonly inference: ServiceClient<typeof InferenceService>;
  readonly models: ServiceClient<typeof ModelService>;
  readonly benchmarks: ServiceClient<typeof BenchmarkService>;
  readonly #transport: Transport;
  #serves = true;
  #checked = -Infinity;

  constructor({ address, transport }: Way) {
    this.address = bare(address);
    this.inference = createClient(InferenceService, transport);
    this.models = createClient(ModelService, transport);
    this.benchmarks = createClient(BenchmarkService, transport);
    this.#transport = transport;
  }

  /** Asks the health service, now and then. */
  async serves(): Promise<boolean> {
    if (Date.now() - this.#checked < HEALTH_EVERY_MS || health === undefined) {
      return this.#serves;
    }
    this.#checked = Date.now();
    const check = health.methods[0];
    try {
      const said = await this.#transport.unary(check as never, undefined, HEALTH_TIMEOUT_MS, undefined, {});
      this.#serves = (said.message as unknown as { status?: number }).status === SERVING;
    } catch (error) {
      // One that has no such service may serve.
      this.#serves = ConnectError.from(error).code === Code.Unimplemented;
    }
    return this.#serves;
  }

  /** Gets no new calls for a while. */
  lost(): void {
    this.#serves = false;
    this.#checked = Date.now();
  }
}

/** All servers of a client. */
export class Servers {
  readonly all: Server[];
  readonly patienceMs: number;
  readonly traceparent: Settings["traceparent"];
  #turn = 0;
  readonly #holders = new Map<string, Set<Server>>();
  readonly #bytes = new Map<string, Uint8Array>();
  #size = 0;

  constructor(ways: Way[], settings: Settings) {
    const addresses = ways.map(({ address }) => bare(address));
    if (addresses.length === 0 || new Set(addresses).size < addresses.length) {
      throw new TypeError(`addresses: ${addresses.join(", ") || "none"}; one is needed, and each once`);
    }
    this.all = ways.map((way) => new Server(way));
    this.patienceMs = settings.patienceMs ?? 60_000;
    this.traceparent = settings.traceparent;
  }

  /** The server for a call: that of its handles, of its picture, or the next one. */
  async #pick(call: Call, tried: Server[]): Promise<Server> {
    const first = this.all[0] as Server;
    if (this.all.length === 1) {
      return first;
    }
    let order = [...this.all];
    if (call.picture) {
      order = byWeight(order, call.picture);
    } else {
      this.#turn = (this.#turn + 1) % order.length;
      order = [...order.slice(this.#turn), ...order.slice(0, this.#turn)];
    }
    for (const handle of [...call.handles].reverse()) {
      const lacks = (server: Server) => Number(!this.#has(server, handle));
      order.sort((a, b) => lacks(a) - lacks(b));
    }
    const untried = order.filter((server) => !tried.includes(server));
    const left = untried.length > 0 ? untried : order;
    for (const server of left) {
      if (await server.serves()) {
        return server;
      }
    }
    return left[0] ?? first;
  }

  #has(server: Server, handle: string): boolean {
    return this.#holders.get(handle)?.has(server) ?? false;
  }

  /** Remembers that a server holds something, and its bytes for the case that it goes. */
  uploaded(server: Server, handle: string, data?: Uint8Array): void {
    this.#holders.set(handle, (this.#holders.get(handle) ?? new Set()).add(server));
    for (const oldest of this.#holders.keys()) {
      if (this.#holders.size <= HANDLES) {
        break;
      }
      this.#holders.delete(oldest);
    }
    if (data === undefined || data.length > UPLOADS || this.#bytes.has(handle)) {
      return;
    }
    this.#bytes.set(handle, data);
    this.#size += data.length;
    for (const [oldest, bytes] of this.#bytes) {
      if (this.#size <= UPLOADS) {
        break;
      }
      this.#bytes.delete(oldest);
      this.#size -= bytes.length;
    }
  }

  /** Counts on nothing of these that a server held. */
  forget(server: Server, handles: Iterable<string> = this.#holders.keys()): void {
    for (const handle of handles) {
      this.#holders.get(handle)?.delete(server);
    }
  }

  /** Uploads the pictures that are named and that a server has not, as far as their bytes are still there. */
  async bring(server: Server, handles: string[], options: ConnectOptions): Promise<void> {
    for (const handle of handles) {
      const data = this.#bytes.get(handle);
      if (data !== undefined && !this.#has(server, handle)) {
        const headers: Record<string, string> = { ...(options.headers as Record<string, string>) };
        headers["x-scotoma-picture"] = handle;
        // It is a call of its own.
        delete headers["idempotency-key"];
        await server.inference.uploadImage({ data: data as never }, { ...options, headers });
        this.uploaded(server, handle);
      }
    }
  }

  /** Sends a call until it is answered, is refused for good, or the patience or the time is over. */
  async sent<T>(call: Call, send: (server: Server, options: ConnectOptions) => Promise<T>): Promise<T> {
    const patience = new Patience(this.patienceMs, call.timeoutMs);
    let tried: Server[] = [];
    let brought = false;
    for (;;) {
      const server = await this.#pick(call, tried);
      const options: ConnectOptions = {
        headers: call.headers,
        ...(call.signal && { signal: call.signal }),
        ...(patience.left !== undefined && { timeoutMs: patience.left }),
      };
      try {
        await this.bring(server, call.handles, options);
        return await send(server, options);
      } catch (thrown) {
        const error = ScotomaError.from(thrown, call.signal?.aborted).of(call.requestId);
        if (error.reason === "UNKNOWN_IMAGE" && call.handles.length > 0) {
          if (brought || !call.handles.some((handle) => this.#bytes.has(handle))) {
            throw error.saying(
              `${error.message}; this client does not have its bytes any more (it keeps the last ${UPLOADS >> 20} MiB of ` +
                "what it uploads): upload it again",
            );
          }
          brought = true;
          this.forget(server, call.handles);
          continue;
        }
        if (!isLost(error) || call.signal?.aborted) {
          throw error;
        }
        server.lost();
        tried.push(server);
        if (tried.length < this.all.length) {
          continue;
        }
        tried = [];
        const wait = patience.wait(error);
        if (wait === undefined) {
          throw error;
        }
        await sleep(wait, call.signal);
      }
    }
  }

  /** Makes a call that is answered by a stream, and waits for its first message. */
  async begin<M extends Message>(
    call: Call,
    method: (server: Server, options: ConnectOptions) => AsyncIterable<M>,
  ): Promise<Begun<M> & { server: Server }> {
    return this.sent(call, async (server, { signal, ...rest }) => {
      const begun = await begin((own) => method(server, { ...rest, signal: own }), signal);
      return { ...begun, requestId: call.requestId, server };
    });
  }
}

/** Servers in the order in which they have a picture. */
export function byWeight(servers: Server[], picture: string): Server[] {
  const weights = new Map(servers.map((server) => [server, weight(server.address, picture)]));
  return [...servers].sort((a, b) => ((weights.get(a) ?? "") < (weights.get(b) ?? "") ? 1 : -1));
}


