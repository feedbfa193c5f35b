import assert from "node:assert/strict";
import type { Job } from "../../provider/core/disk/job.js";
import type { SeenPhase, SnapshotPhase, SnapshotState } from "../../provider/flows/mirrored-snapshot/observation.js";
import { type Goal, nextStep, type Step } from "../../provider/flows/mirrored-snapshot/plan.js";

const job: Job = { id: "lm-00000000-mirror", type: "mirror", status: "running", currentProgress: 0, totalProgress: 1, ioStatus: "ok" };
const disks = ["vda"];
const one = (step: "record-mirror" | "start-mirror" | "continue-mirror" | "dismiss" | "set-back" | "tidy" | "drop" | "clear"): Step => ({
  step,
  disk: "vda",
});
const all = (step: "begin" | "take-snapshot" | "wait" | "pivot" | "end-switch" | "let-go" | "cancel"): Step => ({ step, disks });
const done: Step = { step: "done" };

/** Every state with the step that each goal takes from it: the whole chooser for one disk. "stop" stands for a refusal in words. */
const table: { [state in SnapshotState]: ({ seen: SnapshotPhase } & Record<Goal, Step | "stop">)[] } = {
  absent: [{ seen: { phase: "absent" }, mirror: all("begin"), pivot: done, abort: done }],
  recorded: [{ seen: { phase: "recorded" }, mirror: one("record-mirror"), pivot: one("clear"), abort: one("clear") }],
  prepared: [{ seen: { phase: "prepared" }, mirror: all("take-snapshot"), pivot: one("clear"), abort: one("clear") }],
  lost: [
    { seen: { phase: "lost", since: "restart" }, mirror: one("start-mirror"), pivot: "stop", abort: one("drop") },
    { seen: { phase: "lost", since: "cut" }, mirror: one("start-mirror"), pivot: one("start-mirror"), abort: one("drop") },
  ],
  mirroring: [{ seen: { phase: "mirroring", job }, mirror: all("wait"), pivot: all("wait"), abort: all("cancel") }],
  stalled: [{ seen: { phase: "stalled", job }, mirror: one("continue-mirror"), pivot: one("continue-mirror"), abort: all("cancel") }],
  ready: [{ seen: { phase: "ready", job }, mirror: done, pivot: all("pivot"), abort: all("cancel") }],
  turning: [{ seen: { phase: "turning", job }, mirror: all("wait"), pivot: all("wait"), abort: all("wait") }],
  pending: [
    { seen: { phase: "pending", job, current: "source" }, mirror: all("cancel"), pivot: all("cancel"), abort: all("cancel") },
    { seen: { phase: "pending", job, current: "destination" }, mirror: all("let-go"), pivot: all("let-go"), abort: all("let-go") },
  ],
  "broken-off": [{ seen: { phase: "broken-off", job }, mirror: one("dismiss"), pivot: one("dismiss"), abort: one("dismiss") }],
  "switch-cut": (["pending", "over"] as const).map((jobs) => ({
    seen: { phase: "switch-cut", ends: "after", jobs },
    ...{ mirror: all("end-switch"), pivot: all("end-switch"), abort: all("end-switch") },
  })),
  "not-let-go": [{ seen: { phase: "not-let-go" }, mirror: one("set-back"), pivot: one("set-back"), abort: one("set-back") }],
  pivoted: [{ seen: { phase: "pivoted" }, mirror: one("tidy"), pivot: one("tidy"), abort: one("tidy") }],
  ended: [
    { seen: { phase: "ended", on: "file" }, mirror: "stop", pivot: done, abort: done },
    { seen: { phase: "ended", on: "mirror" }, mirror: "stop", pivot: done, abort: done },
  ],
  contradiction: [{ seen: { phase: "contradiction", why: "both were written to" }, mirror: "stop", pivot: "stop", abort: "stop" }],
};

describe("the next step of a mirrored snapshot", () => {
  for (const [state, rows] of Object.entries(table)) {
    for (const row of rows) {
      for (const goal of ["mirror", "pivot", "abort"] as const) {
        const expected = row[goal];
        const detail = JSON.stringify(row.seen).replace(/,"job":\{[^}]*\}/, "");
        it(`is "${expected === "stop" ? "stop" : expected.step}" when it is ${state} and the goal is ${goal} (${detail})`, () => {
          const step = nextStep(goal, [{ disk: "vda", seen: row.seen }]);
          if (expected === "stop") assert.equal(step.step, "stop");
          else assert.deepEqual(step, expected);
        });
      }
    }
  }
});

describe("the next step of a mirrored snapshot over several disks", () => {
  const disk = (name: string, seen: SnapshotPhase): SeenPhase => ({ disk: name, seen });

  it("takes the snapshot of all at once, after all are prepared", () => {
    const prepared: SnapshotPhase = { phase: "prepared" };
    const recorded: SnapshotPhase = { phase: "recorded" };
    assert.deepEqual(nextStep("mirror", [disk("vda", prepared), disk("vdb", recorded)]), { step: "record-mirror", disk: "vdb" });
    assert.deepEqual(nextStep("mirror", [disk("vda", prepared), disk("vdb", prepared)]), { step: "take-snapshot", disks: ["vda", "vdb"] });
  });

  it("pivots all at once, after all are ready", () => {
    const ready: SnapshotPhase = { phase: "ready", job };
    const mirroring: SnapshotPhase = { phase: "mirroring", job };
    assert.deepEqual(nextStep("pivot", [disk("vda", ready), disk("vdb", mirroring)]), { step: "wait", disks: ["vdb"] });
    assert.deepEqual(nextStep("pivot", [disk("vda", ready), disk("vdb", ready)]), { step: "pivot", disks: ["vda", "vdb"] });
  });

  it("lets none go when the pivot was written down for some only: it is set back, then cancelled", () => {
    const pending = (current: "source" | "destination"): SnapshotPhase => ({ phase: "pending", job, current });
    const half = [disk("vda", pending("destination")), disk("vdb", pending("source"))];
    assert.deepEqual(nextStep("pivot", half), { step: "set-back", disk: "vda" });
    const none = [disk("vda", pending("source")), disk("vdb", pending("source"))];
    assert.deepEqual(nextStep("pivot", none), { step: "cancel", disks: ["vda", "vdb"] });
  });

  it("stops when only some disks are in the snapshot", () => {
    const step = nextStep("mirror", [disk("vda", { phase: "ready", job }), disk("vdb", { phase: "absent" })]);
    assert.equal(step.step, "stop");
    assert.match("why" in step ? step.why : "", /vda is in the snapshot and vdb is not, although/);
  });
});
