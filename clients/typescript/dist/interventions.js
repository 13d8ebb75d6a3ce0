/** Interventions: typed changes to one forward pass. Each function returns the message of the contract. */
import { create, fromJson, toJson } from "@bufbuild/protobuf";
import { InterventionSchema, OccludePatches_Fill, PermuteTokens_Scope, Stack, } from "./v1.js";
const of = (kind) => create(InterventionSchema, { kind });
/** Permutes the visual tokens of each picture: by a seed, or row i becomes row `order[i]`; without either the server draws a seed. */
export function permuteTokens(by) {
    const scope = PermuteTokens_Scope.ALL;
    if (by === undefined) {
        return of({ case: "permuteTokens", value: { scope } });
    }
    if (typeof by === "object") {
        return of({ case: "permuteTokens", value: { scope, source: { case: "order", value: { indices: [...by] } } } });
    }
    return of({ case: "permuteTokens", value: { scope, source: { case: "seed", value: BigInt(by) } } });
}
const occlude = (choice) => of({ case: "occludePatches", value: { fill: OccludePatches_Fill.BLACK, choice } });
const mass = (value) => ({ amount: { case: "mass", value } });
/** Blackens a random share (0 to 1) of the patches. */
export function occludeRandom(ratio, seed) {
    const value = seed === undefined ? { ratio } : { ratio, seed: BigInt(seed) };
    return occlude({ case: "random", value });
}
/** Blackens the fewest patches that hold this mass (0 to 1) of the tower's attention. */
export function occludeSalient(share) {
    return occlude({ case: "salient", value: mass(share) });
}
/** Blackens all but the patches that `occludeSalient` would. */
export function occludeNonSalient(share) {
    return occlude({ case: "nonSalient", value: mass(share) });
}
/** Blackens patches by number, row by row from the top left. */
export function occludeCells(...indices) {
    return occlude({ case: "indices", value: { indices } });
}
/** Lets layers of the language model, counted from 0, hand their input on unchanged. */
export function dropLayers(...layers) {
    return of({ case: "dropLayers", value: { stack: Stack.LANGUAGE_MODEL, layers } });
}
/** Does the same in the vision tower. */
export function dropTowerLayers(...layers) {
    return of({ case: "dropLayers", value: { stack: Stack.VISION_TOWER, layers } });
}
/** Runs another projector: a resident one by name, a random one by seed, or none at all. */
export function swapProjector(by) {
    if (by === "identity") {
        return of({ case: "swapProjector", value: { source: { case: "identity", value: {} } } });
    }
    if (typeof by === "string") {
        return of({ case: "swapProjector", value: { source: { case: "name", value: by } } });
    }
    return of({ case: "swapProjector", value: { source: { case: "randomSeed", value: BigInt(by.randomSeed) } } });
}
/** Any intervention from its canonical JSON form: `intervention({exitEarly: {layer: 5}})`. A name or a field that there is not throws. */
export function intervention(json) {
    return fromJson(InterventionSchema, json);
}
/** The canonical JSON form, for printing in a paper. */
export function toCanonicalJson(message) {
    return toJson(InterventionSchema, message);
}
