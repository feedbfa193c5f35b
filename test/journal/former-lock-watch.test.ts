/** How long a lock of 0.1.0 is watched before its run counts as gone. */

import assert from "node:assert/strict";
import { FormerLockWatch } from "../../provider/journal/former-lock.js";
import type { FormerLock } from "../../provider/journal/lock-text.js";
import { HandWorld } from "../world.js";

const lock: FormerLock = { run: "0123456789abcdef", machine: "another machine", pid: 1, born: "1", name: "runner-7", places: [] };

describe("the watch over a lock of 0.1.0", () => {
  let world: HandWorld;
  let watch: FormerLockWatch;
  beforeEach(() => {
    world = new HandWorld();
    watch = new FormerLockWatch(world, 20);
  });
  const look = (ageSeconds: number, touched = "then") => watch.look(lock, { ageSeconds, touched });
  /** Looks each second. @returns after how many seconds it was no longer silent, and what it was then */
  async function until(ageSeconds: number): Promise<[number, string]> {
    for (let seconds = 0; ; seconds++) {
      const state = look(ageSeconds);
      if (state !== "silent") return [seconds, state];
      await world.pass(1);
    }
  }

  it("takes a run for gone whose file is older than a minute, and stays as it is for two heartbeats", async () => {
    assert.deepEqual(await until(61), [20, "gone"]);
  });

  it("takes a run for gone after eight heartbeats, whatever the host's clock says of its file", async () => {
    assert.deepEqual(await until(-3600), [81, "gone"]);
  });

  it("takes a run for alive whose file is touched, however old that is", async () => {
    assert.equal(look(3600), "silent");
    await world.pass(10);
    assert.equal(look(3600, "now"), "beats");
  });

  it("counts a long gap between two looks as a short one: while the host stood still nobody could beat", async () => {
    assert.equal(look(3600), "silent");
    await world.pass(3600);
    assert.equal(look(3600), "silent");
    assert.deepEqual(await until(3600), [18, "gone"]);
  });
});
