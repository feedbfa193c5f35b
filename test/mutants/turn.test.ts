/** What tests see of a mutant. */

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import ts from "typescript";
import { root } from "./compiler.js";
import { Copies } from "./copy.js";
import { type Mutant, mutantOf } from "./edit.js";
import { type Ending, runFiles } from "./files.js";
import { editsOf } from "./statements.js";

const file = "provider/core/disk/names.ts";
const never = new AbortController().signal;

/** Of the file's own conditions. */
function mutants(): Mutant[] {
  const text = readFileSync(path.join(root, file), "utf8");
  return editsOf(ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)).map((edit) => mutantOf(file, text, edit));
}

describe("a test file that runs on a mutant", function () {
  this.timeout(120_000);

  let copies: Copies;
  before(() => {
    copies = new Copies();
  });
  after(() => copies.remove(copies.folder));

  const run = (copy: string, test: string): Promise<Ending> => runFiles(copy, [test], { fileSeconds: () => 60, stop: never });

  it("fails where it passes without it, and the build is left as it is", async () => {
    const built = path.join(root, "dist/provider/core/disk/names.js");
    const before = readFileSync(built, "utf8");
    const [mutant] = mutants();
    assert.ok(mutant);
    const copy = copies.of({ ...mutant, start: 0, end: 0, text: 'throw new Error("changed");\n' });
    assert.deepEqual(await run(copies.unchanged, "test/migration/plan.test.js"), { ended: "passed" });
    const ending = await run(copy, "test/migration/manifest.test.js");
    assert.equal(ending.ended, "failed");
    assert.equal(readFileSync(built, "utf8"), before);
  });

  it("is over when the run is", async () => {
    const ending = await runFiles(copies.unchanged, ["test/migration/plan.test.js"], { fileSeconds: () => 60, stop: AbortSignal.abort() });
    assert.deepEqual(ending, { ended: "cut" });
  });

  it("is removed with its copy", () => {
    const [mutant] = mutants();
    assert.ok(mutant);
    const copy = copies.of(mutant);
    copies.remove(copy);
    assert.equal(existsSync(copy), false);
  });
});
