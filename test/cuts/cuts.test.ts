import assert from "node:assert/strict";
import { callsIn, pointsOf, scenes, spread, titleOf } from "./points.js";
import { recordedCalls, tryPoint } from "./trial.js";

const seed = Date.now() % 1_000_000;
const counts = { scenes: 2, points: 18 };

/** Two disks, and each way to decide, in turn. */
const chosen = scenes
  .filter(({ disks }) => disks === 2)
  .filter((_, index, all) => [0, 1].some((offset) => index === (seed + offset * 4) % all.length));

describe(`a switch of a real QEMU's disks that is cut at a random call (seed ${seed})`, function () {
  this.timeout(240_000);

  it("leaves names, manifests, jobs and images on one side after the next run, and loses no write", async () => {
    const points = [];
    for (const scene of chosen) points.push(...pointsOf(scene, await recordedCalls(scene)));
    const bad: string[] = [];
    for (const point of spread(points, seed, counts.points))
      for (const problem of (await tryPoint(point)).problems) bad.push(`${titleOf(point)}: ${problem}`);
    assert.deepEqual(bad, []);
  });
});

describe("the points of cuts", () => {
  const calls = callsIn(
    "fsync(7) = 0\n--- SIGCONT {si_signo=SIGCONT} ---\nmmap(NULL, 4096) = 0x1\nfsync(8) = 0\nexit_group(0) = ?\n+++ exited +++",
  );
  const [scene] = scenes;
  assert(scene);

  it("are the calls of a trace, each counted by its name", () => {
    assert.deepEqual(
      calls.map(({ name, occurrence }) => `${name} ${occurrence}`),
      ["fsync 1", "mmap 1", "fsync 2", "exit_group 1"],
    );
  });

  it("have every death at a call that somebody else notices, the child's alone at the others, and errors where files are changed", () => {
    const faultsAt = (name: string) => pointsOf(scene, calls).filter((point) => point.name === name && point.occurrence === 1).length;
    assert.deepEqual(["fsync", "mmap", "exit_group"].map(faultsAt), [6 + 3, 1, 6]);
  });

  it("are spread over all scenes and faults, and the same for the same seed", () => {
    const points = scenes.flatMap((one) => pointsOf(one, calls));
    const few = spread(points, 1, scenes.length * 9);
    assert.equal(new Set(few.map(({ disks, format, decides, fault }) => [disks, format, decides, fault].join())).size, scenes.length * 9);
    assert.deepEqual(few, spread(points, 1, scenes.length * 9));
    assert.notDeepEqual(few, spread(points, 2, scenes.length * 9));
    assert.equal(spread(points, 1, points.length).length, points.length);
  });
});
