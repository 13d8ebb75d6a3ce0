/**
 * Questions in files: VLMEvalKit's tables (TSV) and manifests of one JSON object a line. What the columns mean is the server's
 * business; a client only brings the pictures that a row names.
 */
import { type Row } from "./v1.js";
/** The rows of a table (.tsv) or a manifest (.jsonl), read when they are asked for: a file of any size needs the memory of one row. */
export declare function rows(path: string): AsyncGenerator<Row>;
