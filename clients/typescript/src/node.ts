/** The client for Node: gRPC over HTTP/2. */

import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";

import { baseUrl, Client, keyed, type Settings } from "./client.js";

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

/** A client that holds a connection open until it is closed. */
export class NodeClient extends Client {
  readonly #session: Http2SessionManager;

  constructor(session: Http2SessionManager, transport: ConstructorParameters<typeof Client>[0], settings: Settings) {
    super(transport, settings);
    this.#session = session;
  }

  /** Ends the connection and every call on it. */
  close(): void {
    this.#session.abort();
  }

  /** Closes at the end of a block, `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/** A client of the server at an address such as `127.0.0.1:7878`, or with TLS `https://host:port`. The first call connects. */
export function connect(address: string, settings: NodeSettings = {}): NodeClient {
  const { ca, cert, key, keepaliveMs = 30_000 } = settings;
  const tls = Object.fromEntries(Object.entries({ ca, cert, key }).filter(([, pem]) => pem !== undefined));
  const url = baseUrl(address);
  const session = new SessionManager(url, { pingIntervalMs: keepaliveMs, pingTimeoutMs: keepaliveMs }, tls);
  const transport = createGrpcTransport({
    baseUrl: url,
    interceptors: keyed(settings.apiKey),
    readMaxBytes: 64 << 20,
    sessionManager: session,
  });
  return new NodeClient(session, transport, settings);
}
