/** Who gets a second turn in a run of tests, and what the run says of it. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";

describe("a run of tests, each of which fails in its first turn", () => {
  let ended: ReturnType<typeof run>;
  before(() => {
    ended = run();
  });

  it("counts one without leave as failed, and gives it no second turn", () => {
    assert.equal(ended.status, 1, ended.said);
    assert(!ended.lines.some((line) => line.includes("a fixture without leave (")), ended.said);
    assert.equal(ended.lines.at(-1), "2 passed, 3 failed");
  });

  it("counts one as failed, too, that gave itself a second turn without leave", () => {
    const words = "once more, without leave: it has failed: a fixture without leave, by a way of its own (the network came late)";
    assert(
      ended.lines.some((line) => line.endsWith(words)),
      ended.said,
    );
    assert(!ended.lines.some((line) => line.startsWith("Second turn: a fixture without leave")), ended.said);
  });

  it("passes one with leave that passes in its second turn, and names it with what it said and how it had failed", () => {
    const line = "Second turn: a fixture with leave (it failed with: the disk came late; it may fail once, since the machine was slow)";
    assert(ended.lines.includes(line), ended.said);
  });

  it("names one that was later than it may be with what it said, too", () => {
    const words =
      /^Second turn: a fixture with leave, and later .* \(it failed with: Timeout .*; it may fail once, since the machine stood still\)$/;
    assert(
      ended.lines.some((line) => words.test(line)),
      ended.said,
    );
  });

  it("counts those that had a second turn on the line before the last, also one that failed there too", () => {
    assert.equal(ended.lines.at(-2), "3 tests needed a second turn", ended.said);
  });
});

describe("a second turn", () => {
  it("is given by nothing but the leave for it, which names a reason", () => {
    const folder = path.resolve(__dirname, "../../../test");
    const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));
    const giving = files.filter((file) => /\bretries\(/.test(readFileSync(path.join(folder, file), "utf8")));
    assert.deepEqual(giving, ["second-turn/leave.ts"]);
  });
});

function run() {
  const { status, stdout, stderr } = spawnSync(process.execPath, [path.join(__dirname, "main.js")], { encoding: "utf8", timeout: 120_000 });
  return { status, said: stdout + stderr, lines: stdout.trimEnd().split("\n") };
}
