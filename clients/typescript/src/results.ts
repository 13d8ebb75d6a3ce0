/**
 * A results file: one result a line in canonical JSON, with the run's header beside it, so that a run that was cut off goes on as the
 * same run. All clients and the command line read and write the same files.
 */

import { spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, renameSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { open } from "node:fs/promises";

import { create, equals, fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";

import type { Results } from "./client.js";
import { type EvaluateHeader, EvaluateHeaderSchema, type EvaluateStarted, type SampleResult, SampleResultSchema } from "./v1.js";

/** What stands beside results. What earlier versions did not write is not compared. */
interface Run {
  /** As it was asked for. */
  asked: JsonValue;
  /** The same with all seeds drawn. */
  ran: JsonValue;
  /** The model's digest. */
  model: string;
  /** The server's version. */
  server?: string;
  /** Who judges. */
  judge?: { model?: string; prompt?: string };
  /** SHA-256 (hex) of the file of questions, where another client read it. */
  data_sha256?: string;
}

/** How often metrics come makes no other run. */
const steady = (header: EvaluateHeader) => create(EvaluateHeaderSchema, { ...header, progressEvery: 0 });

/** Programs that take `flock(2)` on a file that they inherit as number 3; the lock stays with the file when they have gone. */
const LOCKERS: [string, string[]][] = [
  ["flock", ["-n", "-x", "3"]],
  ["perl", ["-MFcntl=:flock", "-e", 'open(my $f, ">>&=", 3) or exit 2; exit(flock($f, LOCK_EX | LOCK_NB) ? 0 : 1)']],
];

/**
 * Locks a results file until it is closed, or the process ends however it does. Node has no `flock(2)`; a lock belongs to the open file
 * and not to who asks for it, so that another program can. Windows has none: there files are not locked.
 */
function lock(file: number, path: string): void {
  if (process.platform === "win32") {
    return;
  }
  for (const [program, args] of LOCKERS) {
    const { status, error } = spawnSync(program, args, { stdio: ["ignore", "ignore", "ignore", file] });
    if (error === undefined && status === 0) {
      return;
    }
    if (error === undefined && status === 1) {
      throw new Error(`${path}: another run is writing to it; wait until it has ended, or take another file`);
    }
  }
  throw new Error(`${path}: it cannot be locked against a second run; flock (of util-linux or busybox) or perl is needed`);
}

/** Results in the file `path`, which is locked while a run writes it. */
export function resultsFile(path: string): Results {
  return {
    async open(header) {
      const file = openSync(path, "a");
      let isOpen = true;
      const close = () => {
        if (isOpen) {
          closeSync(file);
        }
        isOpen = false;
      };
      try {
        lock(file, path);
        const { ran, known, earlier } = await resume(path, header);
        const sink = {
          begun: (started: EvaluateStarted) => begun(path, steady(header), earlier, started),
          add: (result: SampleResult) => {
            writeSync(file, `${JSON.stringify(toJson(SampleResultSchema, result))}\n`);
          },
          close,
        };
        return { header: ran, known, sink };
      } catch (error) {
        close();
        throw error;
      }
    },
  };
}

const runFile = (path: string) => `${path}.run.json`;

/** What an earlier run has left. */
async function resume(path: string, header: EvaluateHeader) {
  const about = runFile(path);
  let earlier: Run | undefined;
  let ran = header;
  if (existsSync(about)) {
    let then: EvaluateHeader;
    try {
      earlier = JSON.parse(readFileSync(about, "utf8")) as Run;
      then = fromJson(EvaluateHeaderSchema, earlier.asked);
      ran = create(EvaluateHeaderSchema, {
        ...fromJson(EvaluateHeaderSchema, earlier.ran),
        progressEvery: header.progressEvery,
      });
    } catch (error) {
      throw new Error(`${about}: it is no header of a run: ${error}`, { cause: error });
    }
    const asked = steady(header);
    if (!equals(EvaluateHeaderSchema, then, asked)) {
      const differ = differences(toJson(EvaluateHeaderSchema, then), toJson(EvaluateHeaderSchema, asked));
      sameRun(path, differ.length > 0 ? differ : ["headers differ"]);
    }
  }
  const known = await read(path, true);
  if (earlier === undefined && known.length > 0) {
    // The header is written before the first result: without it nothing says whose answers these are.
    sameRun(path, [`${about} is not there, which says of which run its ${known.length} results are`]);
  }
  const names = new Set(ran.variants.map(({ name }) => name));
  const other = known.find(({ variant }) => names.size > 0 && !names.has(variant));
  if (other !== undefined) {
    sameRun(path, [`its variant ${JSON.stringify(other.variant)} is none of this run`]);
  }
  return { ran, known, earlier };
}

/** The run has begun; an error where it goes on under another model, server or judge. */
function begun(path: string, asked: EvaluateHeader, earlier: Run | undefined, started: EvaluateStarted): void {
  const judge = started.judge && { model: started.judge.model, prompt: started.judge.prompt };
  const server = started.serverVersion === "" ? undefined : started.serverVersion;
  if (earlier !== undefined) {
    sameRun(path, [
      ...texts("model digest", earlier.model, started.modelDigest),
      ...texts("server version", earlier.server, server),
      ...(earlier.judge && judge ? texts("judge", earlier.judge.model, judge.model) : []),
      ...(earlier.judge && judge ? texts("judge's prompt", earlier.judge.prompt, judge.prompt) : []),
    ]);
  }
  const run: Run = {
    // What was not known then is known from now on: answers may be judged later.
    ...(server !== undefined && { server }),
    ...(judge !== undefined && { judge }),
    ...(earlier ?? {
      asked: toJson(EvaluateHeaderSchema, asked),
      ran: toJson(EvaluateHeaderSchema, steady(started.header ?? asked)),
      model: started.modelDigest,
    }),
  };
  // At once or not at all: a run may be killed here, too.
  const about = runFile(path);
  writeFileSync(`${about}.part`, JSON.stringify(run));
  renameSync(`${about}.part`, about);
}

const SHOWN = 6;
const LONGEST = 120;

/** Refuses a file of another run, and says what differs and what to do. */
function sameRun(path: string, differ: string[]): void {
  if (differ.length === 0) {
    return;
  }
  const more = differ.length > SHOWN ? `; and ${differ.length - SHOWN} more` : "";
  throw new Error(
    `${path}: it is of another run: ${differ.slice(0, SHOWN).join("; ")}${more}. Run as then, or take another file, or remove ` +
      `${path} and ${runFile(path)} to begin anew`,
  );
}

/** Compares two texts, where both are known. */
function texts(field: string, then: string | undefined, now: string | undefined): string[] {
  const differ = then !== undefined && now !== undefined && then !== now;
  return differ ? [`${field} ${JSON.stringify(then)} then, ${JSON.stringify(now)} now`] : [];
}

/** What differs, field by field. */
function differences(then: unknown, now: unknown, path = ""): string[] {
  if (Array.isArray(then) && Array.isArray(now) && then.length === now.length) {
    return then.flatMap((value, i) => differences(value, now[i], `${path}[${i}]`));
  }
  if (isObject(then) && isObject(now)) {
    const names = [...new Set([...Object.keys(then), ...Object.keys(now)])].sort();
    return names.flatMap((name) => differences(then[name], now[name], path === "" ? name : `${path}.${name}`));
  }
  return JSON.stringify(then) === JSON.stringify(now) ? [] : [`${path} ${shown(then)} then, ${shown(now)} now`];
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A value in few words: of a list of things with names these alone. */
function shown(value: unknown): string {
  if (value === undefined) {
    return "unset";
  }
  const names = Array.isArray(value) ? value.map((one) => (isObject(one) ? one["name"] : undefined)) : [];
  const named = names.length > 0 && names.every((name) => typeof name === "string");
  const text = named ? `${names.length} (${names.map((name) => JSON.stringify(name)).join(", ")})` : JSON.stringify(value);
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}...` : text;
}

/** All results in the file that a run has left, without errors; of two of the same question and variant the later one. */
export async function readResults(path: string): Promise<SampleResult[]> {
  return read(path, false);
}

/** `mend`: a last line that was cut off by a kill is cut away. */
async function read(path: string, mend: boolean): Promise<SampleResult[]> {
  const known = new Map<string, SampleResult>();
  const file = await open(path);
  let [line, whole, pending] = [0, 0, ""];
  try {
    for await (const chunk of file.createReadStream({ encoding: "utf8" })) {
      const parts = (pending + chunk).split("\n");
      pending = parts.pop() ?? "";
      for (const part of parts) {
        line += 1;
        let result: SampleResult;
        try {
          result = fromJson(SampleResultSchema, JSON.parse(part) as JsonValue);
        } catch (error) {
          throw new Error(`${path}, line ${line}: it is no result of a run: ${error}`, { cause: error });
        }
        whole += Buffer.byteLength(part) + 1;
        if (result.error === undefined) {
          known.set(JSON.stringify([result.id, result.variant]), result);
        }
      }
    }
  } finally {
    await file.close();
  }
  if (pending !== "" && mend) {
    truncateSync(path, whole);
  }
  return [...known.values()];
}
