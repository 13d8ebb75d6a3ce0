/** The client for Node: gRPC over HTTP/2. */

import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";

import { type Settings } from "./call.js";
import { baseUrl, Client, keyed } from "./client.js";
import { type Way } from "./servers.js";

export * from "./common.js";
export { readResults, resultsFile } from "./results.js";
export { rows } from "./rows.js";

/** How a server is reached. */
export interface NodeSettings extends Settings {
  /** Certificates (PEM) that the server's may be signed by, in place of the system's. */
  ca?: string | Uint8Array;
  /** This client's certificate (PEM), for a server that asks for one. */
  cert?: string | Uint8Array;
  /** The key of that certificate (PEM). */
  key?: string | Uint8Array;
  /**
   * A connection on which calls run is asked for a sign of life after this many silent milliseconds, and given up after as many
   * again; 30,000 by default.
   */
  keepaliveMs?: number;
}

/** What goes wrong with a connection comes with its calls. */
const comesWithCalls = () => {};

/** A session that is closed while it fails leaves an error that nobody hears, and with that Node would end the process. */
class SessionManager extends Http2SessionManager {
  override async request(...asked: Parameters<Http2SessionManager["request"]>) {
    const stream = await super.request(...asked);
    if (stream.session?.listeners("error").includes(comesWithCalls) === false) {
      stream.session.on("error", comesWithCalls);
    }
    return stream;
  }
}

/** What is needed of OpenTelemetry's API. */
interface Telemetry {
  context: { active(): unknown };
  propagation: { inject(context: unknown, carrier: Record<string, string>): void };
}

// Not by its name, so that bundlers do not look for what need not be installed.
const api = "@opentelemetry/api";
const telemetry = (import(api) as Promise<Telemetry>).catch(() => undefined);

/** The current span, where OpenTelemetry is installed. */
async function traceparent(): Promise<string | undefined> {
  const carrier: Record<string, string> = {};
  const installed = await telemetry;
  installed?.propagation.inject(installed.context.active(), carrier);
  return carrier["traceparent"];
}

/** A client that holds connections open until it is closed. */
export class NodeClient extends Client {
  readonly #sessions: Http2SessionManager[];

  constructor(sessions: Http2SessionManager[], ways: Way[], settings: Settings) {
    super(ways, settings);
    this.#sessions = sessions;
  }

  /** Ends the connections and every call on them. */
  close(): void {
    this.#sessions.forEach((session) => session.abort());
  }

  /** Closes at the end of a block, `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * A client of the server at an address such as `127.0.0.1:7878`, or with TLS `https://host:port`; of several that answer the same,
 * calls about one picture go to one of them, and to another where it is lost. The first call connects.
 */
export function connect(address: string | string[], settings: NodeSettings = {}): NodeClient {
  const { ca, cert, key, keepaliveMs = 30_000 } = settings;
  const tls = Object.fromEntries(Object.entries({ ca, cert, key }).filter(([, pem]) => pem !== undefined));
  const sessions: Http2SessionManager[] = [];
  const ways = [address].flat().map((one) => {
    const url = baseUrl(one);
    const session = new SessionManager(url, { pingIntervalMs: keepaliveMs, pingTimeoutMs: keepaliveMs }, tls);
    sessions.push(session);
    const transport = createGrpcTransport({
      baseUrl: url,
      interceptors: keyed(settings.apiKey),
      readMaxBytes: 64 << 20,
      sessionManager: session,
    });
    return { address: one, transport };
  });
  return new NodeClient(sessions, ways, { traceparent, ...settings });
}
