import { readFileSync } from "node:fs";

import { expect, test } from "vitest";

import { commentsOf } from "../build/contract";

const proto = readFileSync(new URL("../../../proto/scotoma/v1/intervention.proto", import.meta.url), "utf8");

test("comments stand under the names that descriptors have", () => {
  const comments = commentsOf(proto);
  expect(comments["PermuteTokens"]).toMatch(/^Visual token i becomes/);
  expect(comments["PermuteTokens.Scope.SCOPE_ALL"]).toMatch(/^All patches/);
  // A oneof's fields are the message's.
  expect(comments["PermuteTokens.seed"]).toMatch(/^Seed of a uniform permutation/);
  expect(comments["Intervention.kind"]).toBeDefined();
  // After a message without fields the next ones are not inside it.
  expect(comments["BlankImage"]).toBeDefined();
});
