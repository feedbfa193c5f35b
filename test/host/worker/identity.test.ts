import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { compareIdentities, type Identity } from "../../../provider/host/worker/identity.js";

type Different = Partial<Omit<Identity, "fileSystem">> & { fileSystem?: Partial<Identity["fileSystem"]> };

interface Cases {
  base: Identity;
  cases: { fact: string; one: Different; two: Different; compared: string }[];
}

/** identity.py is held to the same list, by test_identity.py. */
const { base, cases }: Cases = JSON.parse(readFileSync(path.resolve(__dirname, "../../../../test/host/worker/identities.json"), "utf8"));

function merged(different: Different): Identity {
  return { ...base, ...different, fileSystem: { ...base.fileSystem, ...different.fileSystem } };
}

describe("two identities of files", () => {
  for (const { fact, one, two, compared } of cases) {
    it(`are ${compared}: ${fact}`, () => {
      assert.equal(compareIdentities(merged(one), merged(two)), compared);
      assert.equal(compareIdentities(merged(two), merged(one)), compared);
    });
  }
});
