import assert from "node:assert/strict";
import { libvirtDeaths, libvirtPointsOf, libvirtTitleOf, spreadOfLibvirt } from "./libvirt-points.js";
import { LibvirtSubject } from "./libvirt-trial.js";
import { callsIn } from "./points.js";

const seed = Date.now() % 1_000_000;

describe(`a switch of a guest of libvirt's that is cut at a random call (seed ${seed})`, function () {
  this.timeout(400_000);

  it("leaves guest, definition and manifests on one side after the next run, loses no write, and leaves no guest suspended", async () => {
    await using subject = await LibvirtSubject.open();
    const points = libvirtPointsOf(await subject.recordedCalls());
    const bad: string[] = [];
    for (const fault of ["child", "child and worker", "EIO"]) {
      const [point] = spreadOfLibvirt(
        points.filter((one) => one.fault === fault),
        seed,
        1,
      );
      assert(point, fault);
      const { problems } = await subject.tryPoint(point);
      for (const problem of problems) bad.push(`${libvirtTitleOf(point)}: ${problem}`);
      if (bad.length > 0) break;
    }
    assert.deepEqual(bad, []);
  });
});

describe("the points of cuts of libvirt's switch", () => {
  const points = libvirtPointsOf(callsIn("write(7) = 1\nread(8) = 1\nmmap(NULL) = 0x1\nfsync(8) = 0\nwrite(7) = 1\nexit_group(0) = ?"));
  const faultsAt = (name: string, occurrence = 1) =>
    points.filter((point) => point.name === name && point.occurrence === occurrence).length;

  it("have every death where virsh is talked to and where a file is changed, the child's alone elsewhere, and errors of files", () => {
    const all = libvirtDeaths.length;
    assert.deepEqual(
      ["write", "read", "mmap", "fsync", "exit_group"].map((name) => faultsAt(name)),
      [all + 3, all, 1, all + 3, all],
    );
    assert.equal(faultsAt("write", 2), all + 3);
  });

  it("are spread over faults and calls, and the same for the same seed", () => {
    const few = spreadOfLibvirt(points, 1, 12);
    assert.equal(new Set(few.map(({ fault, name }) => `${fault} ${name}`)).size, 12);
    assert.deepEqual(few, spreadOfLibvirt(points, 1, 12));
    assert.equal(spreadOfLibvirt(points, 1, 1000).length, points.length);
  });
});
