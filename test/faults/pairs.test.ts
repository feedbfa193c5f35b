import assert from "node:assert/strict";
import { Arena } from "./arena.js";
import { pairs } from "./points.js";
import { recordMove } from "./recording.js";
import { type Found, runOn } from "./run.js";
import type { Strategy } from "./strategies.js";
import { withThirdEvents } from "./third-events.js";

/** The same pairs in each run; other ones, and clients that sleep, which take a minute each: `npm run faults -- --pairs 300`. */
const seed = 1;

async function tried(strategy: Strategy, count: number): Promise<Found[]> {
  await using arena = await Arena.open(strategy);
  const twice = pairs({ [strategy]: await recordMove(arena) }, seed, count);
  const points = withThirdEvents(twice, seed, ["another run", "foreign overlay", "supervisor", "slow storage"]);
  const all: Found[] = [];
  await runOn(arena, points, { said: (line) => console.log(`        ${line}`), done: (_, found) => all.push(found) });
  return all;
}

describe("twenty moves that are broken twice, some with a third event", function () {
  this.timeout(600_000);

  it("lose nothing, touch no file of others, and are gone on with or undone", async () => {
    const all = (await Promise.all([tried("mirror", 12), tried("commit", 8)])).flat();
    assert.deepEqual(
      all.flatMap(({ failure }) => failure ?? []),
      [],
    );
    const lost = all.reduce((sum, found) => sum + (found.lost ?? 0), 0);
    assert.deepEqual([all.length, lost, all.flatMap(({ foreign }) => foreign)], [20, 0, []]);
    assert(all.some(({ thirdEvent }) => thirdEvent === "came"));
  });
});
