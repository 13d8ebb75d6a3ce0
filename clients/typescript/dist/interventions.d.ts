/** Interventions: typed changes to one forward pass. Each function returns the message of the contract. */
import { type JsonObject } from "@bufbuild/protobuf";
import { type Intervention } from "./v1.js";
/** A seed; beyond 2^53 as a bigint. */
export type Seed = number | bigint;
/** Permutes the visual tokens of each picture: by a seed, or row i becomes row `order[i]`; without either the server draws a seed. */
export declare function permuteTokens(by?: Seed | readonly number[]): Intervention;
/** Blackens a random share (0 to 1) of the patches. */
export declare function occludeRandom(ratio: number, seed?: Seed): Intervention;
/** Blackens the fewest patches that hold this mass (0 to 1) of the tower's attention. */
export declare function occludeSalient(share: number): Intervention;
/** Blackens all but the patches that `occludeSalient` would. */
export declare function occludeNonSalient(share: number): Intervention;
/** Blackens patches by number, row by row from the top left. */
export declare function occludeCells(...indices: number[]): Intervention;
/** Lets layers of the language model, counted from 0, hand their input on unchanged. */
export declare function dropLayers(...layers: number[]): Intervention;
/** Does the same in the vision tower. */
export declare function dropTowerLayers(...layers: number[]): Intervention;
/** Runs another projector: a resident one by name, a random one by seed, or none at all. */
export declare function swapProjector(by: string | {
    randomSeed: Seed;
} | "identity"): Intervention;
/** Any intervention from its canonical JSON form: `intervention({exitEarly: {layer: 5}})`. A name or a field that there is not throws. */
export declare function intervention(json: JsonObject): Intervention;
/** The canonical JSON form, for printing in a paper. */
export declare function toCanonicalJson(message: Intervention): JsonObject;
