/**
 * A results file: one result a line in canonical JSON, with the run's header beside it, so that a run that was cut off goes on as the
 * same run. All clients and the command line read and write the same files.
 */
import { closeSync, existsSync, openSync, readFileSync, renameSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { open } from "node:fs/promises";
import { create, equals, fromJson, toJson } from "@bufbuild/protobuf";
import { EvaluateHeaderSchema, SampleResultSchema } from "./v1.js";
/** How often metrics come makes no other run. */
const steady = (header) => create(EvaluateHeaderSchema, { ...header, progressEvery: 0 });
/** Results in the file `path`. */
export function resultsFile(path) {
    const about = `${path}.run.json`;
    return {
        async open(header) {
            let earlier;
            let ran = header;
            const asked = steady(header);
            if (existsSync(about)) {
                earlier = JSON.parse(readFileSync(about, "utf8"));
                if (!equals(EvaluateHeaderSchema, fromJson(EvaluateHeaderSchema, earlier.asked), asked)) {
                    throw new Error(`${path}: it is of another run`);
                }
                ran = create(EvaluateHeaderSchema, {
                    ...fromJson(EvaluateHeaderSchema, earlier.ran),
                    progressEvery: header.progressEvery,
                });
            }
            const known = existsSync(path) ? await read(path, true) : [];
            const file = openSync(path, "a");
            let isOpen = true;
            const close = () => {
                if (isOpen) {
                    closeSync(file);
                }
                isOpen = false;
            };
            const sink = {
                begun(started) {
                    if (earlier !== undefined) {
                        if (earlier.model !== started.modelDigest) {
                            throw new Error(`${path}: it is of another model`);
                        }
                        return;
                    }
                    const run = {
                        asked: toJson(EvaluateHeaderSchema, asked),
                        ran: toJson(EvaluateHeaderSchema, steady(started.header ?? asked)),
                        model: started.modelDigest,
                    };
                    // At once or not at all: a run may be killed here, too.
                    writeFileSync(`${about}.part`, JSON.stringify(run));
                    renameSync(`${about}.part`, about);
                },
                add: (result) => {
                    writeSync(file, `${JSON.stringify(toJson(SampleResultSchema, result))}\n`);
                },
                close,
            };
            return { header: ran, known, sink };
        },
    };
}
/** All results in the file that a run has left, without errors; of two of the same question and variant the later one. */
export async function readResults(path) {
    return read(path, false);
}
/** `mend`: a last line that was cut off by a kill is cut away. */
async function read(path, mend) {
    const known = new Map();
    const file = await open(path);
    let [line, whole, pending] = [0, 0, ""];
    try {
        for await (const chunk of file.createReadStream({ encoding: "utf8" })) {
            const parts = (pending + chunk).split("\n");
            pending = parts.pop() ?? "";
            for (const part of parts) {
                line += 1;
                let result;
                try {
                    result = fromJson(SampleResultSchema, JSON.parse(part));
                }
                catch (error) {
                    throw new Error(`${path}, line ${line}: ${error}`, { cause: error });
                }
                whole += Buffer.byteLength(part) + 1;
                if (result.error === undefined) {
                    known.set(JSON.stringify([result.id, result.variant]), result);
                }
            }
        }
    }
    finally {
        await file.close();
    }
    if (pending !== "" && mend) {
        truncateSync(path, whole);
    }
    return [...known.values()];
}
