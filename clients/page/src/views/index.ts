/** Lists the views in the order of their tabs. */

import type { ComponentType } from "preact";

import { lazy } from "../ui/lazy";
import { AskView } from "./ask";
import { LookView } from "./look";
import { ServerView } from "./server";

/** A view with its name in the address and on its tab. */
export interface View {
  path: string;
  name: string;
  title: string;
  view: ComponentType;
}

/** By themselves, since they read files of tables, among them Parquet with all its compressions. */
const BenchmarkView = lazy(async () => (await import("./benchmark")).BenchmarkView);
const ReportView = lazy(async () => (await import("./benchmark")).ReportView);

export const views: View[] = [
  { path: "ask", name: "Ask & change", title: "Ask a question, and change what the model sees", view: AskView },
  { path: "look", name: "Look", title: "Look inside", view: LookView },
  { path: "benchmark", name: "Benchmark", title: "Build a benchmark", view: BenchmarkView },
  { path: "report", name: "Reports", title: "Open a report", view: ReportView },
  { path: "server", name: "Server", title: "The server", view: ServerView },
];
