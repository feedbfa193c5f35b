import assert from "node:assert/strict";
import type { Job } from "../../provider/core/disk/job.js";
import { type Goal, nextStep, nextSteps, releasing, type Step } from "../../provider/flows/move/plan.js";
import type { Phase, PhaseName, SeenPhase } from "../../provider/flows/shared/phase.js";
import type { MovedLayer, Standing } from "../../provider/journal/manifest.js";

const job: Job = { id: "lm-00000000-mirror", type: "mirror", status: "running", currentProgress: 0, totalProgress: 1, ioStatus: "ok" };
const layer: MovedLayer = {
  source: "/path1/common.qcow2",
  destination: "/path2/common.qcow2",
  format: "qcow2",
  identity: { dev: "1", ino: "2", sizeBytes: 3, modified: "4" },
  coming: "copy",
};

const disk = (seen: Phase, name = "vda", heading: SeenPhase["heading"] = "wanted", standing: Standing = "former"): SeenPhase => ({
  ...{ disk: name, heading, standing, seen },
});

interface Row {
  seen: Phase;
  /** @default "former" */
  standing?: Standing;
  arrive: Step;
  withdraw: Step;
}

function on(standing: Standing, seen: Phase, arrive: Step, withdraw: Step): Row {
  return { standing, seen, arrive, withdraw };
}

/** Every phase with the step that each goal takes from it: the whole chooser for one disk. */
const table: { [name in PhaseName]: Row[] } = {
  settled: [{ seen: { phase: "settled" }, arrive: { step: "done" }, withdraw: { step: "done" } }],
  suspended: [{ seen: { phase: "suspended" }, arrive: { step: "resume", disks: ["vda"] }, withdraw: { step: "resume", disks: ["vda"] } }],
  misdefined: [
    { seen: { phase: "misdefined", definedAt: "/old/a" }, arrive: { step: "redefine", disk: "vda" }, withdraw: { step: "done" } },
  ],
  idle: [{ seen: { phase: "idle" }, arrive: { step: "begin", disks: ["vda"] }, withdraw: { step: "done" } }],
  snapshotted: [
    {
      seen: { phase: "snapshotted", why: "it is in a mirrored snapshot" },
      arrive: { step: "stop", disk: "vda", why: "it is in a mirrored snapshot" },
      withdraw: { step: "done" },
    },
  ],
  recorded: [
    { seen: { phase: "recorded" }, arrive: { step: "record-destination", disk: "vda" }, withdraw: { step: "clear", disk: "vda" } },
  ],
  unfrozen: [{ seen: { phase: "unfrozen" }, arrive: { step: "freeze", disks: ["vda"] }, withdraw: { step: "clear", disk: "vda" } }],
  frozen: [on("overlay", { phase: "frozen" }, { step: "record-frozen", disk: "vda" }, { step: "fold", disk: "vda" })],
  pivoted: [on("target", { phase: "pivoted" }, { step: "collapse", disk: "vda" }, { step: "collapse", disk: "vda" })],
  collapsing: [on("target", { phase: "collapsing", job }, { step: "wait", disks: ["vda"] }, { step: "wait", disks: ["vda"] })],
  "collapse-ready": [
    on(
      "target",
      { phase: "collapse-ready", job },
      { step: "switch-collapsed", disks: ["vda"] },
      { step: "switch-collapsed", disks: ["vda"] },
    ),
  ],
  folding: [on("overlay", { phase: "folding", job }, { step: "cancel", disks: ["vda"] }, { step: "wait", disks: ["vda"] })],
  "fold-ready": [
    on("overlay", { phase: "fold-ready", job }, { step: "cancel", disks: ["vda"] }, { step: "switch-folded", disks: ["vda"] }),
  ],
  folded: [{ seen: { phase: "folded" }, arrive: { step: "clear", disk: "vda" }, withdraw: { step: "clear", disk: "vda" } }],
  copying: [
    on("former", { phase: "copying", layer }, { step: "copy", disk: "vda", layer }, { step: "clear", disk: "vda" }),
    on("overlay", { phase: "copying", layer }, { step: "copy", disk: "vda", layer }, { step: "fold", disk: "vda" }),
  ],
  copied: [
    on("overlay", { phase: "copied" }, { step: "start-mirror", disk: "vda" }, { step: "fold", disk: "vda" }),
    { seen: { phase: "copied" }, arrive: { step: "start-mirror", disk: "vda" }, withdraw: { step: "clear", disk: "vda" } },
  ],
  mirroring: [
    { seen: { phase: "mirroring", job }, arrive: { step: "wait", disks: ["vda"] }, withdraw: { step: "cancel", disks: ["vda"] } },
  ],
  stalled: [
    on("former", { phase: "stalled", job }, { step: "continue", disk: "vda" }, { step: "cancel", disks: ["vda"] }),
    on("target", { phase: "stalled", job }, { step: "continue", disk: "vda" }, { step: "continue", disk: "vda" }),
  ],
  ready: [{ seen: { phase: "ready", job }, arrive: { step: "pivot", disks: ["vda"] }, withdraw: { step: "cancel", disks: ["vda"] } }],
  turning: [{ seen: { phase: "turning", job }, arrive: { step: "wait", disks: ["vda"] }, withdraw: { step: "wait", disks: ["vda"] } }],
  pending: [
    {
      seen: { phase: "pending", job, current: "source" },
      arrive: { step: "cancel", disks: ["vda"] },
      withdraw: { step: "cancel", disks: ["vda"] },
    },
    {
      seen: { phase: "pending", job, current: "destination" },
      arrive: { step: "let-go", disks: ["vda"] },
      withdraw: { step: "let-go", disks: ["vda"] },
    },
  ],
  ended: [{ seen: { phase: "ended", job }, arrive: { step: "dismiss", disk: "vda" }, withdraw: { step: "dismiss", disk: "vda" } }],
  "switch-cut": (["pending", "over"] as const).flatMap((jobs) =>
    (["before", "after"] as const).map((ends) => ({
      seen: { phase: "switch-cut" as const, ends, jobs },
      arrive: { step: "end-switch" as const, disks: ["vda"] },
      withdraw: { step: "end-switch" as const, disks: ["vda"] },
    })),
  ),
  "not-let-go": [{ seen: { phase: "not-let-go" }, arrive: { step: "set-back", disk: "vda" }, withdraw: { step: "set-back", disk: "vda" } }],
  switched: [{ seen: { phase: "switched" }, arrive: { step: "tidy", disk: "vda" }, withdraw: { step: "tidy", disk: "vda" } }],
  astray: [
    {
      seen: { phase: "astray", why: "it is not mounted" },
      arrive: { step: "stop", disk: "vda", why: "it is not mounted" },
      withdraw: { step: "clear", disk: "vda" },
    },
    on(
      "overlay",
      { phase: "astray", why: "it is not mounted" },
      { step: "stop", disk: "vda", why: "it is not mounted" },
      { step: "fold", disk: "vda" },
    ),
  ],
  contradiction: [
    {
      seen: { phase: "contradiction", why: "both were written to" },
      arrive: { step: "stop", disk: "vda", why: "both were written to" },
      withdraw: { step: "stop", disk: "vda", why: "both were written to" },
    },
  ],
};

describe("the next step of one disk", () => {
  for (const [name, rows] of Object.entries(table)) {
    for (const row of rows) {
      const current = row.seen.phase === "pending" ? ` with current at the ${row.seen.current}` : "";
      for (const goal of ["arrive", "withdraw"] as const satisfies Goal[]) {
        const on = row.standing === undefined ? "" : ` on the ${row.standing}`;
        it(`is "${row[goal].step}" when it is ${name}${current}${on} and shall ${goal}`, () => {
          assert.deepEqual(nextStep(goal, [disk(row.seen, "vda", "wanted", row.standing)]), row[goal]);
        });
      }
    }
  }

  it("is taken also in a run that is asked to stop, where the guest's I/O waits", () => {
    for (const phase of ["pending", "suspended", "switch-cut"] as const)
      for (const { seen, standing } of table[phase]) {
        for (const goal of ["arrive", "withdraw"] as const)
          assert(releasing.has(nextStep(goal, [disk(seen, "vda", "wanted", standing)]).step), phase);
      }
  });

  it("puts a definition right that is behind, before the move goes on or is undone", () => {
    for (const goal of ["arrive", "withdraw"] as const) {
      const behind = { ...disk({ phase: "copying", layer }, "vda", "wanted", "overlay"), definition: "behind" } as const;
      assert.deepEqual(nextStep(goal, [behind]), { step: "redefine", disk: "vda" });
    }
  });

  it("puts a definition right under somebody's overlay, and only there where the guest runs on what nobody knows", () => {
    const contradiction = (more: { foreignTop?: string }) =>
      ({ ...disk({ phase: "contradiction", why: "x", ...more }), definition: "behind" }) as const;
    assert.deepEqual(nextStep("arrive", [contradiction({ foreignTop: "/a/theirs" })]), { step: "redefine", disk: "vda" });
    assert.equal(nextStep("arrive", [contradiction({})]).step, "stop");
  });

  it("undoes a move that heads where the disk is wanted no more", () => {
    assert.deepEqual(nextStep("arrive", [disk({ phase: "ready", job }, "vda", "elsewhere")]), { step: "cancel", disks: ["vda"] });
  });

  it("finishes a switched move that heads where the disk is wanted no more", () => {
    assert.deepEqual(nextStep("arrive", [disk({ phase: "switched" }, "vda", "elsewhere")]), { step: "tidy", disk: "vda" });
  });
});

describe("the next step of several disks", () => {
  const ready: Phase = { phase: "ready", job };

  it("is the switch only when every disk is ready for it", () => {
    assert.deepEqual(nextStep("arrive", [disk(ready), disk({ phase: "mirroring", job }, "vdb")]), { step: "wait", disks: ["vdb"] });
    assert.deepEqual(nextStep("arrive", [disk(ready), disk(ready, "vdb")]), { step: "pivot", disks: ["vda", "vdb"] });
  });

  it("leaves out of the switch a disk that has settled", () => {
    assert.deepEqual(nextStep("arrive", [disk({ phase: "settled" }), disk(ready, "vdb")]), { step: "pivot", disks: ["vdb"] });
  });

  it("begins all of them in one step, so that one refusal refuses all", () => {
    const step = nextStep("arrive", [disk({ phase: "idle" }), disk({ phase: "idle" }, "vdb")]);
    assert.deepEqual(step, { step: "begin", disks: ["vda", "vdb"] });
  });

  it("copies before any mirror starts, so that guests write twice for a short time only", () => {
    const step = nextStep("arrive", [disk({ phase: "copied" }), disk({ phase: "copying", layer }, "vdb")]);
    assert.equal(step.step, "copy");
  });

  it("is taken for all in a row where it touches no other disk, after one look", () => {
    const copied: Phase = { phase: "copied" };
    assert.deepEqual(nextSteps("arrive", [disk(copied), disk(ready, "vdb"), disk(copied, "vdc")]), [
      { step: "start-mirror", disk: "vda" },
      { step: "start-mirror", disk: "vdc" },
    ]);
    const ended: Phase = { phase: "ended", job };
    assert.deepEqual(nextSteps("arrive", [disk(ended), disk(ended, "vdb")]), [{ step: "dismiss", disk: "vda" }]);
  });

  it("resumes a guest that a switch has left suspended, whatever its disks need", () => {
    const disks = [disk({ phase: "idle" }), disk({ phase: "mirroring", job }, "vdb"), disk({ phase: "contradiction", why: "" }, "vdc")];
    for (const goal of ["arrive", "withdraw"] as const)
      assert.deepEqual(nextSteps(goal, disks, "suspended"), [{ step: "resume", disks: ["vda", "vdb", "vdc"] }]);
  });

  it("lets waiting guest I/O go before anything else", () => {
    const pending: Phase = { phase: "pending", job, current: "destination" };
    const step = nextStep("arrive", [disk({ phase: "contradiction", why: "" }), disk(pending, "vdb")]);
    assert.deepEqual(step, { step: "let-go", disks: ["vdb"] });
  });

  it("lets none go when the switch was written down for some only: it is set back, then cancelled", () => {
    const written: Phase = { phase: "pending", job, current: "destination" };
    const unwritten: Phase = { phase: "pending", job, current: "source" };
    assert.deepEqual(nextStep("arrive", [disk(written), disk(unwritten, "vdb")]), { step: "set-back", disk: "vda" });
    assert.deepEqual(nextStep("arrive", [disk(unwritten), disk(unwritten, "vdb")]), { step: "cancel", disks: ["vda", "vdb"] });
  });
});
