import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import type { Point } from "./points.js";
import { Progress } from "./progress.js";

const point = (occurrence: number): Point => {
  return { strategy: "mirror", command: "qmp job-complete", occurrence, fault: "ssh-cut", moment: "before", ending: "up" };
};

describe("a run of broken moves that was cut", () => {
  let folder = "";
  const file = () => path.join(folder, "faults/progress.json");
  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), "livedisk-progress-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it("goes on with the points that were not tried, and keeps what it has found", () => {
    const points = [1, 2, 3].map(point);
    const before = Progress.start(points, file());
    before.note(points[0] as Point, undefined);
    before.note(points[2] as Point, { ...point(3), why: "lost", evidence: folder });
    const after = Progress.goOn(file());
    assert.deepEqual(after.left(), [point(2)]);
    after.note(after.left()[0] as Point, undefined);
    assert.deepEqual(after.left(), []);
    const { passed, failed } = after.figures();
    assert.deepEqual([passed, failed.map(({ why }) => why)], [2, ["lost"]]);
  });

  it("cannot go on where none was begun", () => {
    assert.throws(() => Progress.goOn(file()), /no run has been begun here/);
  });
});
