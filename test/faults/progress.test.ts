import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import type { Point } from "./points.js";
import { Progress } from "./progress.js";
import type { Found } from "./run.js";

const point = (occurrence: number): Point => {
  const second = { nth: 3, fault: "ssh-cut", moment: "after" } as const;
  const once: Point = { strategy: "mirror", command: "qmp job-complete", occurrence, fault: "ssh-cut", moment: "before", ending: "up" };
  return occurrence === 2 ? { ...once, second } : once;
};

const fine: Found = { failure: undefined, thirdEvent: "did not come", lost: 0, foreign: [] };

describe("a run of broken moves that was cut", () => {
  let folder = "";
  const file = () => path.join(folder, "faults/progress.json");
  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), "livedisk-progress-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it("goes on with the points that were not tried, and keeps what it has found", () => {
    const points = [1, 2, 3].map(point);
    const before = Progress.start("these points", points, file());
    before.note(points[0] as Point, fine);
    before.note(points[2] as Point, { ...fine, lost: 2, foreign: ["notes"], failure: { ...point(3), why: "lost", evidence: folder } });
    const after = Progress.ofLastRun("these points", file());
    assert(after);
    assert.deepEqual(after.left(), [point(2)]);
    after.note(after.left()[0] as Point, { ...fine, thirdEvent: "came" });
    assert.deepEqual(after.left(), []);
    assert.deepEqual(after.figures(), { points: 3, pairs: 1, thirdEvents: 1, passed: 2, failed: 1, lost: 2, foreign: 1 });
  });

  it("is none where none was begun, or one of other points or of another commit", () => {
    assert.equal(Progress.ofLastRun("these points", file()), undefined);
    Progress.start("those points", [point(1)], file());
    assert.equal(Progress.ofLastRun("these points", file()), undefined);
  });
});
