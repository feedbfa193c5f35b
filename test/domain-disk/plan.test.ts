import assert from "node:assert/strict";
import type { Job } from "../../provider/core/disk/job.js";
import { type Goal, nextStep, pullLine, type SeenPull, type Step } from "../../provider/flows/pull/plan.js";
import { domainDisk } from "../../provider/resources/domain-disk/lifecycle.js";
import { Recorder } from "../storage-migration/recorder.js";

const job: Job = { id: "lm-00000000-blockpull", type: "stream", status: "running", currentProgress: 0, totalProgress: 1, ioStatus: "ok" };
const disk = "vda";
const between = ["/path1/old.qcow2"];

/** Every state with the step that each goal takes from it. */
const table: { [phase in SeenPull["phase"]]: { seen: SeenPull } & Record<Goal, Step> } = {
  settled: { seen: { phase: "settled" }, pull: { step: "done" }, leave: { step: "done" } },
  deeper: { seen: { phase: "deeper", between }, pull: { step: "start-pull", disk, between }, leave: { step: "done" } },
  pulling: { seen: { phase: "pulling", job }, pull: { step: "wait", disks: [disk] }, leave: { step: "cancel", disks: [disk] } },
  stalled: { seen: { phase: "stalled", job }, pull: { step: "continue", disk }, leave: { step: "cancel", disks: [disk] } },
  pending: { seen: { phase: "pending", job }, pull: { step: "finalize", disk }, leave: { step: "cancel", disks: [disk] } },
  contradiction: {
    seen: { phase: "contradiction", why: "it is no layer" },
    pull: { step: "stop", disk, why: "it is no layer" },
    leave: { step: "done" },
  },
};

describe("the next step of a pull", () => {
  for (const [phase, row] of Object.entries(table)) {
    for (const goal of ["pull", "leave"] as const) {
      it(`is "${row[goal].step}" when it is ${phase} and the goal is to ${goal}`, () =>
        assert.deepEqual(nextStep(goal, [{ disk, seen: row.seen }]), row[goal]));
    }
  }
});

describe("the plan of a pull", () => {
  const chain = ["/path2/new.qcow2", "/path2/old.qcow2", "/path2/common.qcow2"].map((path) => ({ path }));

  it("is one line, which a preview shows when base changes", () => {
    const teller = new Recorder();
    const olds = { disk: "vda", chain };
    domainDisk.diff("id", olds, { ...olds, base: "/path2/common.qcow2" }, teller);
    assert.deepEqual(teller.said, [
      "info: plan: vda: pull /path2/old.qcow2 up into /path2/new.qcow2, which then stands on /path2/common.qcow2, live",
    ]);
  });

  it("is nothing where nothing lies between, or the layer is not known", () => {
    assert.equal(pullLine("vda", chain, "/path2/old.qcow2"), undefined);
    assert.equal(pullLine("vda", chain, "/path2/nothing.qcow2"), undefined);
  });
});
