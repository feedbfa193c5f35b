import assert from "node:assert/strict";
import type { Passing } from "../sandbox/gate.js";
import { fateOf } from "./strikes.js";
import { Trap } from "./trap.js";

const command = (name: string): Passing => ({ road: "qmp", name, kind: "change" });

describe("the trap of a broken move", () => {
  it("acts aside before the nth command goes on, once, and breaks none by it", async () => {
    const trap = new Trap();
    let acts = 0;
    trap.setAside({ nth: 2, act: async () => void acts++ });
    const verdicts = [];
    for (const name of ["one", "two", "three"]) verdicts.push(`${await trap.before(command(name))} ${acts}`);
    assert.deepEqual(verdicts, ["forward 0", "forward 1", "forward 1"]);
    trap.endAside();
  });

  it("springs as set, whatever is done aside, and tells at the end what failed there", async () => {
    const trap = new Trap();
    const bait = { command: "qmp two", occurrence: 1, moment: "before" as const, strike: async () => {}, fate: () => "cut" as const };
    trap.set(bait, { nth: 1, act: () => Promise.reject(new Error("no strace")) });
    assert.deepEqual([await trap.before(command("one")), await trap.before(command("two"))], ["forward", "cut"]);
    assert.equal(trap.state, "sprung");
    assert.throws(() => trap.endAside(), /no strace/);
    trap.endAside();
  });

  it("lets what comes by on another road while the fault is made go on once it is made", async () => {
    const trap = new Trap();
    const made = Promise.withResolvers<void>();
    trap.set({ occurrence: 1, moment: "before", strike: () => made.promise, fate: (command) => fateOf("qemu-killed", command) });
    const verdicts = [command("one"), { ...command("two"), road: "host" as const }, command("three")].map((each) => trap.before(each));
    made.resolve();
    assert.deepEqual(await Promise.all(verdicts), ["cut", "forward", "cut"]);
  });

  it("forgets with its bait what was to be done aside", async () => {
    const trap = new Trap();
    trap.setAside({ nth: 1, act: () => Promise.reject(new Error("it was to be forgotten")) });
    trap.clear();
    await trap.before(command("one"));
    trap.endAside();
  });
});
