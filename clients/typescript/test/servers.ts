/** Calls while servers change, against servers that answer as a test wants it. Run by `node --test`. */

import assert from "node:assert/strict";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";

import { create, type DescMessage } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { Code, ConnectError } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { context, propagation, trace, TraceFlags } from "@opentelemetry/api";

import { hash, Patience, prepare, ready, weight } from "../src/call.js";
import { connect, prompt, ScotomaError } from "../src/node.js";
import { health } from "../src/servers.js";
import { ImageSchema, InferenceService } from "../src/v1.js";

await ready();
const picture = (text: string) => new TextEncoder().encode(text);
const ask = (...images: Uint8Array[]) => ({ prompt: prompt("?", ...images), continuations: ["a", "b"] });

/** An error with the server's reason, and with the milliseconds after which it says to come again. */
function refusal(code: Code, reason: string, delayMs?: number): ConnectError {
  const error = new ConnectError("refused", code);
  const entry = new BinaryWriter().tag(1, WireType.LengthDelimited).string("request_id");
  entry.tag(2, WireType.LengthDelimited).string("of-the-server");
  const info = new BinaryWriter().tag(1, WireType.LengthDelimited).string(reason);
  info.tag(3, WireType.LengthDelimited).bytes(entry.finish());
  error.details.push({ type: "google.rpc.ErrorInfo", value: info.finish() as never });
  if (delayMs !== undefined) {
    const delay = new BinaryWriter().tag(2, WireType.Varint).int32(delayMs * 1e6).finish();
    const retry = new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(delay).finish();
    error.details.push({ type: "google.rpc.RetryInfo", value: retry as never });
  }
  return error;
}

/** Scores and keeps uploads; `refusals` come first. */
async function fake() {
  const own = { address: "", serving: true, refusals: [] as ConnectError[], calls: [] as Headers[], uploads: new Set<string>(), stop: () => {} };
  const server = createServer(
    connectNodeAdapter({
      routes(router) {
        router.service(InferenceService, {
          uploadImage({ data }) {
            const handle = hash(data);
            own.uploads.add(handle);
            return { handle };
          },
          score({ prompt: asked }, { requestHeader }) {
            own.calls.push(requestHeader);
            const refused = own.refusals.shift();
            if (refused !== undefined) {
              throw refused;
            }
            for (const { source } of asked?.images ?? []) {
              if (source.case === "handle" && !own.uploads.has(source.value)) {
                throw refusal(Code.NotFound, "UNKNOWN_IMAGE");
              }
            }
            return {};
          },
        });
        const { methods } = health as NonNullable<typeof health>;
        const check = methods[0] as { kind: "rpc"; methodKind: "unary"; output: DescMessage };
        router.rpc(check as never, (() => create(check.output, { status: own.serving ? 1 : 2 })) as never);
      },
    }),
  );
  const sessions = new Set<{ destroy(): void }>();
  server.on("session", (session) => sessions.add(session));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  own.address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  own.stop = () => {
    server.close();
    sessions.forEach((session) => session.destroy());
  };
  after(own.stop);
  return own;
}

function client(...asked: Parameters<typeof connect>) {
  const made = connect(...asked);
  after(() => made.close());
  return made;
}

test("one call is one call over all of its tries", async () => {
  const server = await fake();
  server.refusals = [refusal(Code.Unavailable, "DRAINING", 20), refusal(Code.Unavailable, "DRAINING", 20)];
  const own = client(server.address);
  await own.score(ask(picture("a picture")));
  await own.score(ask(), { idempotencyKey: "mine", requestId: "r", traceparent: "00-1-2-01" });
  assert.equal(server.calls.length, 4);
  const [first, ...again] = server.calls as [Headers, ...Headers[]];
  for (const name of ["idempotency-key", "x-request-id", "x-scotoma-picture"]) {
    assert.deepEqual([again[0]?.get(name), again[1]?.get(name)], [first.get(name), first.get(name)], name);
  }
  assert.equal(first.get("x-scotoma-picture"), hash(picture("a picture")));
  assert.equal(first.get("traceparent"), null);
  const names = ["idempotency-key", "x-request-id", "traceparent"];
  assert.deepEqual(names.map((name) => again[2]?.get(name)), ["mine", "r", "00-1-2-01"]);
});

test("the span of OpenTelemetry goes along", async () => {
  const server = await fake();
  const span = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331", traceFlags: TraceFlags.SAMPLED };
  propagation.setGlobalPropagator({
    inject(active, carrier, setter) {
      const current = trace.getSpanContext(active);
      if (current !== undefined) {
        setter.set(carrier, "traceparent", `00-${current.traceId}-${current.spanId}-01`);
      }
    },
    extract: (active) => active,
    fields: () => ["traceparent"],
  });
  // Without the manager of contexts that comes with the SDK, the current context is the root.
  const root = trace.setSpanContext(context.active(), span);
  context.setGlobalContextManager({
    active: () => root,
    with: (_, call, self, ...given) => call.call(self as never, ...given),
    bind: (_, target) => target,
    enable: () => undefined as never,
    disable: () => undefined as never,
  });
  await client(server.address).score(ask());
  propagation.disable();
  context.disable();
  assert.equal(server.calls[0]?.get("traceparent"), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
});

test("what is not worth waiting for is not waited for", async () => {
  const server = await fake();
  const found = async (work: Promise<unknown>) => {
    const error = await work.then(() => undefined, (thrown: unknown) => thrown);
    assert.ok(error instanceof ScotomaError, String(error));
    return error;
  };
  server.refusals = [refusal(Code.Unavailable, "DRAINING", 900)];
  const down = await found(client(server.address, { patienceMs: 0 }).score(ask()));
  assert.deepEqual([down.retryAfter, down.requestId], [900, "of-the-server"]);
  server.refusals = [refusal(Code.Unavailable, "HUB")];
  assert.equal((await found(client(server.address).score(ask()))).reason, "HUB");
  const begun = Date.now();
  const gone = await found(client("127.0.0.1:1", { patienceMs: 300 }).score(ask(), { requestId: "mine" }));
  assert.deepEqual([gone.code, gone.requestId], [Code.Unavailable, "mine"]);
  assert.ok(Date.now() - begun > 200 && Date.now() - begun < 3000);
});

test("waits grow and end with the patience", () => {
  const lost = new ScotomaError(Code.Unavailable, "lost");
  const patience = new Patience(60_000);
  const waits = Array.from({ length: 8 }, () => patience.wait(lost) ?? 0);
  assert.ok((waits[0] ?? 0) >= 100 && (waits[0] ?? 0) <= 200);
  assert.ok(waits.slice(6).every((wait) => wait >= 2500 && wait <= 5000));
  assert.equal(new Patience(0).wait(lost), undefined);
  assert.equal(new Patience(60_000, 10).wait(lost), undefined);
});

test("the weights are those of all clients", () => {
  assert.deepEqual([weight("a:1", "00ff").slice(0, 8), weight("b:1", "00ff").slice(0, 8)], ["9eadcb83", "94944b58"]);
});

test("a picture has its server, and another one when that is gone", async () => {
  const [a, b] = [await fake(), await fake()];
  const own = client([a.address, b.address]);
  for (let i = 0; i < 48; i++) {
    await own.score(ask(picture(`${i % 24}`)));
  }
  for (const server of [a, b]) {
    assert.ok(server.calls.length >= 4, `${server.calls.length} calls`);
    for (const call of server.calls) {
      const asked = call.get("x-scotoma-picture") ?? "";
      const other = server === a ? b : a;
      assert.ok(weight(server.address, asked) > weight(other.address, asked));
    }
  }
  a.stop();
  const begun = Date.now();
  for (let i = 0; i < 24; i++) {
    await own.score(ask(picture(`${i}`)));
  }
  assert.ok(Date.now() - begun < 5000);
});

test("a server that does not serve gets no new calls", async () => {
  const [a, b] = [await fake(), await fake()];
  a.serving = false;
  const own = client([a.address, b.address]);
  for (let i = 0; i < 12; i++) {
    await own.score(ask(picture(`${i}`)));
  }
  assert.deepEqual([a.calls.length, b.calls.length], [0, 12]);
});

test("uploads go where they are needed", async () => {
  const [a, b] = [await fake(), await fake()];
  const own = client([a.address, b.address]);
  const uploaded = await own.uploadImage(picture("a picture"));
  const [holder, other] = a.uploads.size > 0 ? [a, b] : [b, a];
  const by = (handle: typeof uploaded) => ({ prompt: { text: "?", images: [handle] }, continuations: ["a", "b"] });
  await own.score(by(uploaded));
  holder.uploads.clear();
  await own.score(by(uploaded));
  assert.equal(holder.uploads.size, 1, "one that has lost it gets it again");
  assert.equal(other.calls.length, 0);
  holder.stop();
  await own.score(by(uploaded));
  assert.equal(other.uploads.size, 1);
  const unknown = create(ImageSchema, { source: { case: "handle", value: "00" } });
  await assert.rejects(own.score(by(unknown)), /upload it again/);
});

test("an address stands there once", () => {
  assert.throws(() => connect(["a:1", "http://a:1"]), /each once/);
});

test("requests go where their activations are", async () => {
  const patches = (handle: string) => [{ kind: { case: "patch", value: { source: { case: "handle", value: handle } } } }];
  const attribute = { interventions: patches("a"), source: { interventions: patches("b") } };
  const header = { variants: [{ name: "as it is" }, { interventions: patches("c") }] };
  assert.deepEqual((await prepare({}, undefined, attribute)).handles, ["a", "b"]);
  assert.deepEqual((await prepare({}, undefined, header)).handles, ["c"]);
});
