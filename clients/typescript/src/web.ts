/** The client for browsers: gRPC-Web, which the server speaks on the same port. */

import { createGrpcWebTransport } from "@connectrpc/connect-web";

import { baseUrl, Client, keyed, type Settings } from "./client.js";

export * from "./common.js";

/** A client of the server at an address such as `http://127.0.0.1:7878`. The first call connects; the browser sees to TLS. */
export function connect(address: string, settings: Settings = {}): Client {
  const transport = createGrpcWebTransport({ baseUrl: baseUrl(address), interceptors: keyed(settings.apiKey) });
  return new Client(transport, settings);
}
