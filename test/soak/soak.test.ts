import assert from "node:assert/strict";
import { mayHaveASecondTurn } from "../second-turn/leave.js";
import { isLevel, levelsOf, type Sample } from "./levels.js";
import { soak } from "./soak.js";

describe("a soak", function () {
  this.timeout(600_000);

  it("of five moves and two with quarantine loses nothing, leaves one image a disk and move, and nothing adds up", async function () {
    mayHaveASecondTurn(this, "seven moves are few to tell a process that grows from one whose garbage was not collected yet");
    const figures = await soak({ moves: 5, quarantineMoves: 2, movesBetweenChecks: 3, onProgress: (line) => console.log(`      ${line}`) });
    assert.deepEqual(figures.wrong, []);
    const { lost, corrupt, checks, quarantined } = figures;
    assert.deepEqual({ lost, corrupt, checks, quarantined }, { lost: 0, corrupt: 0, checks: 4, quarantined: 4 });
    assert(figures.acknowledged > 50, JSON.stringify(figures));
  });
});

describe("a level", () => {
  const mebibyte = 2 ** 20;
  const even: Sample = {
    ...{ namedNodes: 4, jobs: 0, files: 6, qemuDescriptors: 30, sshdProcesses: 5, sshdDescriptors: 60, providerDescriptors: 25 },
    ...{ providerThreads: 11, qemuBytes: 300 * mebibyte, sshdBytes: 20 * mebibyte, providerBytes: 100 * mebibyte },
  };
  const risen = (samples: readonly Sample[]) => levelsOf(samples).flatMap((level) => (isLevel(level) ? [] : [level.quantity]));
  const over = (make: (move: number) => Partial<Sample>) => Array.from({ length: 200 }, (_, move) => ({ ...even, ...make(move) }));

  it("is kept by what goes up and down, and by what rises only at first", () => {
    assert.deepEqual(risen(over((move) => ({ providerBytes: (100 + (move % 30)) * mebibyte, qemuDescriptors: Math.min(move, 40) }))), []);
  });

  it("is left by one descriptor in all moves, and by a quarter of a mebibyte in each", () => {
    assert.deepEqual(risen(over((move) => ({ sshdDescriptors: 60 + Math.floor(move / 100) }))), ["sshdDescriptors"]);
    assert.deepEqual(risen(over((move) => ({ providerBytes: (100 + move / 4) * mebibyte }))), ["providerBytes"]);
  });

  it("cannot be told from a few samples", () => {
    assert.throws(() => levelsOf([even, even]), /2 moves are too few/);
  });
});
