/** Reads the comments of the contract, which the generated descriptors leave out. */

/** Comments by full name: `PermuteTokens`, `PermuteTokens.seed`, `PermuteTokens.Scope.SCOPE_ALL`. */
export type Comments = Record<string, string>;

const OPENS = /^(message|enum|oneof)\s+(\w+)\s*\{(\s*\})?/;
const FIELD = /^(?:repeated |optional )?(?:map<[^>]*>|[\w.]+)\s+(\w+)\s*=\s*\d+/;
const VALUE = /^([A-Z][A-Z0-9_]*)\s*=\s*\d+/;

/** Returns what stands above each message, field, oneof, enum and value of a .proto file. */
export function commentsOf(proto: string): Comments {
  const found: Comments = {};
  // Names of the messages and enums around a line; of a oneof nothing, since its fields are the message's.
  const around: { name: string; oneof: boolean }[] = [];
  let comment: string[] = [];
  for (const line of proto.split("\n").map((text) => text.trim())) {
    if (line.startsWith("//")) {
      comment.push(line.slice(2).trim());
      continue;
    }
    const keep = (name: string) => {
      const path = [...around.filter(({ oneof }) => !oneof).map((each) => each.name), name].join(".");
      if (comment.length > 0) found[path] = comment.join(" ");
    };
    const opens = OPENS.exec(line);
    const named = FIELD.exec(line) ?? VALUE.exec(line);
    if (opens?.[2] !== undefined) {
      keep(opens[2]);
      if (opens[3] === undefined) around.push({ name: opens[2], oneof: opens[1] === "oneof" });
    } else if (line.startsWith("}")) {
      around.pop();
    } else if (named?.[1] !== undefined) {
      keep(named[1]);
    }
    comment = [];
  }
  return found;
}
