/** How a run ends whose test files do not come to their end. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

const passing = (name: string, ms = 0) => `describe("${name}", () => it("passes", (done) => setTimeout(done, ${ms})));`;
const throwing = `describe("one", () => it("passes", () => void setTimeout(() => { throw new Error("behind it"); }, 30)));`;

const runs: Record<string, { files: readonly string[]; said: RegExp; last: string }> = {
  "files that cannot be loaded, each of which it names": {
    files: ['throw new Error("first");', passing("one"), 'throw new Error("second");'],
    said: /0\.js did not come to its end: first[\s\S]*2\.js did not come to its end: second/,
    last: "1 passed, 2 failed",
  },
  "a process that is killed": {
    files: ['describe("one", () => it("dies", () => process.kill(process.pid, "SIGKILL")));', passing("two")],
    said: /0\.js did not come to its end/,
    last: "1 passed, 1 failed",
  },
  "a process that ends when its tests are over, by an error that nobody waits for": {
    files: [throwing, passing("two", 1000)],
    said: /behind it/,
    last: "2 passed, 1 failed",
  },
  "nothing but empty files": { files: ['describe("nothing", () => {});'], said: /^/, last: "0 passed, 0 failed" },
};

describe("a run of tests fails, and ends with its two lines of figures, with", () => {
  for (const [what, { files, said, last }] of Object.entries(runs)) {
    it(what, () => {
      const folder = mkdtempSync(path.join(tmpdir(), "livedisk-ending-test-"));
      try {
        const names = files.map((_, index) => path.join(folder, `${index}.js`));
        for (const [index, name] of names.entries()) writeFileSync(name, files[index] ?? "");
        const program = [path.join(__dirname, "ending.js"), ...names];
        const { status, stdout, stderr } = spawnSync(process.execPath, program, { encoding: "utf8", timeout: 60_000 });
        assert.equal(status, 1, stdout + stderr);
        assert.match(stdout + stderr, said);
        assert.deepEqual(stdout.trimEnd().split("\n").slice(-2), ["0 tests needed a second turn", last]);
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  }
});
