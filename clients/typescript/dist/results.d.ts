/**
 * A results file: one result a line in canonical JSON, with the run's header beside it, so that a run that was cut off goes on as the
 * same run. All clients and the command line read and write the same files.
 */
import type { Results } from "./client.js";
import { type SampleResult } from "./v1.js";
/** Results in the file `path`. */
export declare function resultsFile(path: string): Results;
/** All results in the file that a run has left, without errors; of two of the same question and variant the later one. */
export declare function readResults(path: string): Promise<SampleResult[]>;
