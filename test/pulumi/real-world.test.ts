/** The clocks and the chance of this machine. */

import assert from "node:assert/strict";
import { realWorld } from "../../provider/pulumi/real-world.js";

describe("the real world", () => {
  const world = realWorld();

  it("ends a sleep at once, without an error, when it is asked to stop", async () => {
    const stop = new AbortController();
    const began = world.clock();
    const over = world.sleep(60, stop.signal);
    stop.abort();
    await over;
    await world.sleep(60, stop.signal);
    assert(world.clock() - began < 10);
  });

  it("sleeps as long as it was asked to, and after 0 s what was ready has gone first", async () => {
    const began = world.clock();
    await world.sleep(0.05);
    assert(world.clock() - began >= 0.045);
    const order: string[] = [];
    void Promise.resolve().then(() => order.push("ready"));
    await world.sleep(0);
    order.push("slept");
    assert.deepEqual(order, ["ready", "slept"]);
  });

  it("does after the time what it was asked to, unless that is called off", async () => {
    const done: string[] = [];
    const callOff = world.after(0.01, () => done.push("called off"));
    const { promise, resolve } = Promise.withResolvers<void>();
    world.after(0.02, () => {
      done.push("done");
      resolve();
    });
    callOff();
    const alive = setInterval(() => {}, 1000); // a timer of the world's does not keep the process
    await promise;
    clearInterval(alive);
    assert.deepEqual(done, ["done"]);
  });

  it("gives tokens of so many bytes, no two alike", () => {
    const tokens = new Set(Array.from({ length: 100 }, () => world.token(8)));
    assert.equal(tokens.size, 100);
    for (const token of tokens) assert.match(token, /^[0-9a-f]{16}$/);
  });

  it("has one instance of a class, and another world has another", () => {
    class Known {
      readonly names = new Set<string>();
    }
    world.one(Known).names.add("vda");
    assert.deepEqual([...world.one(Known).names], ["vda"]);
    assert.deepEqual([...realWorld().one(Known).names], []);
  });
});
