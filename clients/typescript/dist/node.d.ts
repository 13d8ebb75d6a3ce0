/** The client for Node: gRPC over HTTP/2. */
import { Http2SessionManager } from "@connectrpc/connect-node";
import { Client, type Settings } from "./client.js";
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
    /** A connection on which calls run is asked for a sign of life this often, in milliseconds; 30,000 by default. */
    keepaliveMs?: number;
}
/** A client that holds a connection open until it is closed. */
export declare class NodeClient extends Client {
    #private;
    constructor(session: Http2SessionManager, transport: ConstructorParameters<typeof Client>[0], settings: Settings);
    /** Ends the connection and every call on it. */
    close(): void;
    /** Closes at the end of a block, `using`. */
    [Symbol.dispose](): void;
}
/** A client of the server at an address such as `127.0.0.1:7878`, or with TLS `https://host:port`. The first call connects. */
export declare function connect(address: string, settings?: NodeSettings): NodeClient;
