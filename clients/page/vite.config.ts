import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { defineConfig, type Plugin } from "vite";

import { commentsOf } from "./build/contract.ts";
import { samplesOf } from "./build/samples.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const CLIENT = here("../typescript");
const CONTRACT = here("../../proto/scotoma/v1/intervention.proto");
const BENCHMARK = here("../../models/shapes/benchmark.tsv");

/** Answers imports of `virtual:NAME` with JSON that is made when the page is built. */
function made(name: string, make: () => unknown, from: string): Plugin {
  const id = `virtual:${name}`;
  return {
    name,
    resolveId: (source) => (source === id ? `\0${id}` : null),
    load(source) {
      if (source !== `\0${id}`) return null;
      this.addWatchFile(from);
      return `export default JSON.parse(${JSON.stringify(JSON.stringify(make()))})`;
    },
  };
}

/** Fetches what hashes pictures beside the page's own files: the client loads it when it makes its first call. */
const preloadHash: Plugin = {
  name: "preload-hash",
  apply: "build",
  transformIndexHtml: () => [{ tag: "link", attrs: { rel: "modulepreload", crossorigin: true, href: "./assets/hash.js" }, injectTo: "head" }],
};

export default defineConfig({
  base: "./",
  plugins: [
    preloadHash,
    made("contract-comments", () => commentsOf(readFileSync(CONTRACT, "utf8")), CONTRACT),
    made("samples", () => samplesOf(readFileSync(BENCHMARK, "utf8")), BENCHMARK),
  ],
  resolve: {
    alias: [
      { find: /^scotoma$/, replacement: `${CLIENT}/src/web.ts` },
      { find: /^scotoma\/parquet$/, replacement: `${CLIENT}/src/parquet-rows.ts` },
      { find: /^scotoma\/v1$/, replacement: `${CLIENT}/src/v1.ts` },
      { find: /^@bufbuild\/protobuf$/, replacement: `${CLIENT}/node_modules/@bufbuild/protobuf/dist/esm/index.js` },
    ],
  },
  server: {
    // `SCOTOMA_SERVER=http://host:port npm run dev` shows the page over another server.
    proxy: Object.fromEntries(
      ["^/scotoma\\.v1\\.", "^/grpc\\.", "^/v1/", "^/metrics$"].map((path) => [
        path,
        { target: process.env["SCOTOMA_SERVER"] ?? "http://127.0.0.1:7878" },
      ]),
    ),
  },
  build: {
    target: "es2022",
    // The binary embeds these files by their names: src/server/page.rs has a line for each.
    rollupOptions: {
      output: {
        entryFileNames: "assets/page.js",
        chunkFileNames: "assets/[name].js",
        assetFileNames: "assets/[name][extname]",
        // What several files share goes by names of ours; without them a change of an import renames files.
        codeSplitting: {
          groups: [
            // First, for a group takes what its files import.
            { name: "shared", test: /node_modules\/(@bufbuild|@connectrpc|@?preact)|typescript\/src\/(?!parquet)|page\/src\/(state|ui)\/|rolldown|vite\/preload/ },
            { name: "hash", test: /hash-wasm/ },
            { name: "tables", test: /hyparquet|hysnappy|fzstd|parquet-rows/ },
            { name: "draw", test: /page\/src\/(draw\/|look\/task)/ },
          ],
        },
      },
    },
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
});
