/** Lists the views in the order of their tabs. */

import type { ComponentType } from "preact";

import { lazy } from "../ui/lazy";
import { AskView } from "./ask";

/** A view with its name in the address and on its tab. */
export interface View {
  path: string;
  name: string;
  title: string;
  view: ComponentType;
}

/** All but the first are files of their own, so that the first answer waits for none of them. */
const LookView = lazy(async () => (await import("./look")).LookView);
const ServerView = lazy(async () => (await import("./server")).ServerView);
/** Together, since they read files of tables, among them Parquet with all its compressions. */
const BenchmarkView = lazy(async () => (await import("./benchmark")).BenchmarkView);
const ReportView = lazy(async () => (await import("./benchmark")).ReportView);

export const views: View[] = [
  { path: "ask", name: "Ask & change", title: "Ask a question, and change what the model sees", view: AskView },
  { path: "look", name: "Look", title: "Look inside", view: LookView },
  { path: "benchmark", name: "Benchmark", title: "Build a benchmark", view: BenchmarkView },
  { path: "report", name: "Reports", title: "Open a report", view: ReportView },
  { path: "server", name: "Server", title: "The server", view: ServerView },
];
