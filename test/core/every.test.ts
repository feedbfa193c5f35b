/** What goes on beside some work. */

import assert from "node:assert/strict";
import { every } from "../../provider/core/async/every.js";
import { HandWorld } from "../world.js";

describe("what is done again and again", () => {
  it("is done each time the time has passed, until it is called off", async () => {
    const world = new HandWorld();
    const at: number[] = [];
    const callOff = every(world, 5, () => at.push(world.clock()));
    await world.pass(16);
    assert.deepEqual(at, [5, 10, 15]);
    callOff();
    await world.pass(60);
    assert.deepEqual(at, [5, 10, 15]);
    assert.equal(world.waiting, 0);
  });

  it("may call itself off", async () => {
    const world = new HandWorld();
    let count = 0;
    const callOff = every(world, 1, () => {
      if (++count === 2) callOff();
    });
    await world.pass(10);
    assert.equal(count, 2);
  });
});
