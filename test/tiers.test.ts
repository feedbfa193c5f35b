/** Which tests run when. */

import assert from "node:assert/strict";
import { isIn, type Tier } from "./tiers.js";

const tiersOf = (name: string): Tier[] => (["unit", "usual", "all"] as const).filter((tier) => isIn(tier, name));

describe("the tiers of the tests", () => {
  it("have what starts no machine in all three", () => {
    assert.deepEqual(tiersOf("migration/plan.test.js"), ["unit", "usual", "all"]);
  });

  it("have no file that starts a guest, by whatever way round, in the unit tier", () => {
    assert.deepEqual(tiersOf("e2e/move.test.js"), ["usual", "all"]);
    assert.deepEqual(tiersOf("hypervisor/libvirt/snapshot.test.js"), ["all"]);
  });

  it("have what is cut at every system call, and the cuts of a whole scenario, in the last one alone", () => {
    for (const name of ["host/worker/switching.test.js", "host/worker/switching-qemu.test.js", "cuts/cuts.test.js", "e2e/cut.test.js"])
      assert.deepEqual(tiersOf(name), ["all"], name);
  });

  it("leave the long ones to whoever names them", () => {
    for (const name of ["adversity/at-length/two-at-once.test.js", "rows/at-length/stopped-qemu.test.js"])
      assert.deepEqual(tiersOf(name), [], name);
    for (const name of ["adversity/planted.test.js", "matrix/background.test.js", "hypervisor/libvirt/snapshot-faults.test.js"])
      assert.deepEqual(tiersOf(name), [], name);
  });
});
