/** The client for browsers: gRPC-Web, which the server speaks on the same port. */

import { createGrpcWebTransport } from "@connectrpc/connect-web";

import { type Settings } from "./call.js";
import { baseUrl, Client, keyed } from "./client.js";

export { evaluateBatch } from "./batch.js";
export * from "./common.js";

/**
 * A client of the server at an address such as `http://127.0.0.1:7878`, or of several that answer the same. The first call
 * connects; the browser sees to TLS.
 */
export function connect(address: string | string[], settings: Settings = {}): Client {
  const ways = [address].flat().map((one) => ({
    address: one,
    transport: createGrpcWebTransport({ baseUrl: baseUrl(one), interceptors: keyed(settings.apiKey) }),
  }));
  return new Client(ways, settings);
}
