/** Every phase in the words that users see, and what a state says that has none of these words. */

import assert from "node:assert/strict";
import type { Job } from "../../../provider/core/disk/job.js";
import type { SnapshotPhase, SnapshotState } from "../../../provider/flows/mirrored-snapshot/observation.js";
import * as snapshot from "../../../provider/flows/mirrored-snapshot/status.js";
import type { SeenPull } from "../../../provider/flows/pull/plan.js";
import { statusOfPull } from "../../../provider/flows/pull/status.js";
import type { Phase, PhaseName, SeenPhase } from "../../../provider/flows/shared/phase.js";
import { type DiskStatus, isUnfinished, statusIn, statusOf } from "../../../provider/flows/shared/status.js";
import type { Standing } from "../../../provider/journal/manifest.js";

const job: Job = { id: "lm-00000000-mirror", type: "mirror", status: "running", ioStatus: "ok" };
const commit: Job = { ...job, id: "lm-00000000-commit", type: "commit" };
const layer = {
  ...{ source: "/path1/a", destination: "/path2/a", format: "raw", coming: "copy" as const },
  identity: { dev: "1", ino: "2", sizeBytes: 3, modified: "4" },
};

type Row = [seen: Phase, standing: Standing, expected: DiskStatus, intent?: SeenPhase["heading"]];

const ofMoves: { [name in PhaseName]: Row[] } = {
  settled: [[{ phase: "settled" }, "former", "settled"]],
  suspended: [[{ phase: "suspended" }, "former", "switching"]],
  misdefined: [[{ phase: "misdefined", definedAt: "/old" }, "former", "cleaning-up"]],
  idle: [[{ phase: "idle" }, "former", "elsewhere"]],
  snapshotted: [[{ phase: "snapshotted", why: "" }, "former", "elsewhere"]],
  recorded: [
    [{ phase: "recorded" }, "former", "moving"],
    [{ phase: "recorded" }, "former", "undoing", "elsewhere"],
  ],
  unfrozen: [[{ phase: "unfrozen" }, "former", "moving"]],
  frozen: [[{ phase: "frozen" }, "overlay", "moving"]],
  copying: [[{ phase: "copying", layer }, "former", "moving"]],
  copied: [[{ phase: "copied" }, "overlay", "moving"]],
  mirroring: [
    [{ phase: "mirroring", job }, "former", "moving"],
    [{ phase: "mirroring", job }, "overlay", "undoing", "elsewhere"],
  ],
  ready: [[{ phase: "ready", job }, "former", "moving"]],
  stalled: [[{ phase: "stalled", job }, "former", "needs-attention"]],
  turning: [
    [{ phase: "turning", job }, "former", "moving"],
    [{ phase: "turning", job: commit }, "overlay", "undoing"],
    [{ phase: "turning", job: commit }, "target", "cleaning-up"],
  ],
  pending: [
    [{ phase: "pending", job, current: "source" }, "former", "switching"],
    [{ phase: "pending", job, current: "destination" }, "target", "switching"],
  ],
  ended: [
    [{ phase: "ended", job }, "former", "moving"],
    [{ phase: "ended", job: commit }, "former", "undoing"],
    [{ phase: "ended", job }, "landing", "cleaning-up", "elsewhere"],
  ],
  "switch-cut": [[{ phase: "switch-cut", ends: "after", jobs: "over" }, "former", "switching"]],
  "not-let-go": [[{ phase: "not-let-go" }, "former", "switching"]],
  pivoted: [[{ phase: "pivoted" }, "target", "cleaning-up"]],
  collapsing: [[{ phase: "collapsing", job: commit }, "target", "cleaning-up"]],
  "collapse-ready": [[{ phase: "collapse-ready", job: commit }, "target", "cleaning-up"]],
  folding: [[{ phase: "folding", job: commit }, "overlay", "undoing"]],
  "fold-ready": [[{ phase: "fold-ready", job: commit }, "overlay", "undoing"]],
  folded: [[{ phase: "folded" }, "former", "undoing"]],
  switched: [[{ phase: "switched" }, "target", "cleaning-up", "elsewhere"]],
  astray: [[{ phase: "astray", why: "" }, "former", "needs-attention"]],
  contradiction: [[{ phase: "contradiction", why: "" }, "former", "needs-attention"]],
};

const ofSnapshots: { [name in SnapshotState]: [SnapshotPhase, snapshot.SnapshotStatus][] } = {
  absent: [[{ phase: "absent" }, "elsewhere"]],
  recorded: [[{ phase: "recorded" }, "moving"]],
  prepared: [[{ phase: "prepared" }, "moving"]],
  lost: [
    [{ phase: "lost", since: "restart" }, "needs-attention"],
    [{ phase: "lost", since: "cut" }, "moving"],
  ],
  mirroring: [[{ phase: "mirroring", job }, "moving"]],
  stalled: [[{ phase: "stalled", job }, "needs-attention"]],
  ready: [[{ phase: "ready", job }, "settled"]],
  turning: [[{ phase: "turning", job }, "moving"]],
  pending: [[{ phase: "pending", job, current: "source" }, "switching"]],
  "switch-cut": [[{ phase: "switch-cut", ends: "before", jobs: "pending" }, "switching"]],
  "broken-off": [[{ phase: "broken-off", job }, "needs-attention"]],
  "not-let-go": [[{ phase: "not-let-go" }, "switching"]],
  pivoted: [[{ phase: "pivoted" }, "cleaning-up"]],
  ended: [[{ phase: "ended", on: "mirror" }, "needs-attention"]],
  contradiction: [[{ phase: "contradiction", why: "" }, "needs-attention"]],
};

const ofPulls: { [name in SeenPull["phase"]]: [SeenPull, DiskStatus] } = {
  settled: [{ phase: "settled" }, "settled"],
  deeper: [{ phase: "deeper", between: ["/a"] }, "elsewhere"],
  pulling: [{ phase: "pulling", job }, "moving"],
  stalled: [{ phase: "stalled", job }, "needs-attention"],
  pending: [{ phase: "pending", job }, "moving"],
  contradiction: [{ phase: "contradiction", why: "" }, "needs-attention"],
};

/** The phases of 0.1.0 from which a diff saw no work left. */
const atRest: readonly PhaseName[] = ["settled", "idle", "snapshotted"];

describe("the status of a disk", () => {
  for (const [seen, standing, expected, heading = "wanted"] of Object.values(ofMoves).flat()) {
    const job = "job" in seen ? ` with a ${seen.job.type}` : "";
    const goes = heading === "wanted" ? "" : ", and its move goes where it is no longer wanted";
    it(`is ${expected} in the phase ${seen.phase}${job} when the guest writes to the ${standing}${goes}`, () => {
      assert.equal(statusOf({ seen, standing, heading }), expected);
    });
  }

  for (const phase of Object.keys(ofMoves) as PhaseName[])
    it(`is read from the phase ${phase} of a state of 0.1.0, with work left as that version saw it`, () => {
      const status = statusIn({ phase });
      assert.equal(status, ofMoves[phase][0]?.[2]);
      assert.equal(status && isUnfinished(status), !atRest.includes(phase));
    });

  it("is what the state says where it has one, whatever its phase", () => {
    assert.equal(statusIn({ status: "settled", phase: "mirroring" }), "settled");
  });

  it("needs attention where only a newer version knows the word, and is unknown where the state says nothing", () => {
    for (const report of [{ status: "resting" }, { status: 7 }, { phase: "constructor" }, { phase: null }])
      assert.equal(statusIn(report), "needs-attention");
    assert.equal(statusIn({}), undefined);
  });
});

describe("the status of a disk of a mirrored snapshot", () => {
  for (const [seen, expected] of Object.values(ofSnapshots).flat()) {
    const since = seen.phase === "lost" ? ` since the ${seen.since}` : "";
    it(`is ${expected} when it is ${seen.phase}${since}`, () => assert.equal(snapshot.statusOf(seen), expected));
  }

  for (const state of Object.keys(ofSnapshots) as SnapshotState[])
    it(`is read from "${state}" in a state of 0.1.0, and only "ready" is settled`, () => {
      const status = snapshot.statusIn({ state });
      assert.equal(status, ofSnapshots[state][0]?.[1]);
      assert.equal(status === "settled", state === "ready");
    });

  it("is what the state says where it has one, and needs attention where only a newer version knows the word", () => {
    assert.equal(snapshot.statusIn({ status: "moving", state: "ready" }), "moving");
    for (const report of [{ status: "undoing" }, { state: "constructor" }, {}]) assert.equal(snapshot.statusIn(report), "needs-attention");
  });
});

describe("the status of a pull", () => {
  for (const [seen, expected] of Object.values(ofPulls))
    it(`is ${expected} when it is ${seen.phase}`, () => assert.equal(statusOfPull(seen), expected));
});
