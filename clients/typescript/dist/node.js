/** The client for Node: gRPC over HTTP/2. */
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { baseUrl, Client, keyed } from "./client.js";
export * from "./common.js";
export { readResults, resultsFile } from "./results.js";
export { rows } from "./rows.js";
/** A client that holds a connection open until it is closed. */
export class NodeClient extends Client {
    #session;
    constructor(session, transport, settings) {
        super(transport, settings);
        this.#session = session;
    }
    /** Ends the connection and every call on it. */
    close() {
        this.#session.abort();
    }
    /** Closes at the end of a block, `using`. */
    [Symbol.dispose]() {
        this.close();
    }
}
/** A client of the server at an address such as `127.0.0.1:7878`, or with TLS `https://host:port`. The first call connects. */
export function connect(address, settings = {}) {
    const { ca, cert, key, keepaliveMs = 30_000 } = settings;
    const tls = Object.fromEntries(Object.entries({ ca, cert, key }).filter(([, pem]) => pem !== undefined));
    const url = baseUrl(address);
    const session = new Http2SessionManager(url, { pingIntervalMs: keepaliveMs, pingTimeoutMs: keepaliveMs }, tls);
    const transport = createGrpcTransport({
        baseUrl: url,
        interceptors: keyed(settings.apiKey),
        readMaxBytes: 64 << 20,
        sessionManager: session,
    });
    return new NodeClient(session, transport, settings);
}
