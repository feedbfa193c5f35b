import assert from "node:assert/strict";
import { Arena } from "./arena.js";
import { spread } from "./points.js";
import { recordMove } from "./recording.js";
import { type Failure, runOn } from "./run.js";

/** Another one in each run: what it has found is found again by `npm run faults -- --seed <number>`. */
const seed = Date.now() % 1_000_000;
const pointsEach = 3;

describe(`a sample of broken moves (seed ${seed})`, function () {
  this.timeout(600_000);

  // the strategies by an overlay take the whole spread: npm run faults
  for (const strategy of ["mirror"] as const) {
    it(`loses nothing with ${strategy}, and every move is gone on with or undone`, async () => {
      await using arena = await Arena.open(strategy);
      const points = spread({ [strategy]: await recordMove(arena) }, seed, 0).slice(0, pointsEach);
      const failures: Failure[] = [];
      await runOn(arena, points, {
        said: (line) => console.log(`        ${line}`),
        done: (_, { failure }) => failure && failures.push(failure),
      });
      assert.deepEqual([points, failures], [[], []]);
    });
  }
});
