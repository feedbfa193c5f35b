import assert from "node:assert/strict";
import { rm, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { type Check, chainOf, checkImage } from "./check.js";
import { run } from "./command.js";
import { rawImage, threeLayers } from "./disks.js";
import { type MadeFolder, makeFolder } from "./folders.js";
import { type Guest, startGuest } from "./guest.js";
import { Operator } from "./operator.js";
import { clusterBytes, recordOf, slotOf, slotOffset, slots } from "./record.js";

describe("a test guest", function () {
  this.timeout(180_000);
  let made: MadeFolder;
  let folder: string;
  let guest: Guest;

  const start = async () => {
    made = await makeFolder("livedisk guest ");
    folder = made.path;
    guest = await startGuest({ folder });
  };
  const end = async () => {
    await guest?.kill();
    await made.remove();
  };

  describe("of its own", () => {
    beforeEach(start);
    afterEach(end);

    it("calls records safe, at a steady rate", async () => {
      const before = { count: guest.acknowledged(), time: Date.now() };
      await guest.waitForRecords(30);
      const perSecond = (guest.acknowledged() - before.count) / ((Date.now() - before.time) / 1000);
      assert.ok(perSecond > 5, `${perSecond} records a second`);
      assert.ok(guest.longestWriteMs() < 5000);
    });

    it("shows its chain on the monitor, in /proc and in the headers alike", async () => {
      await using operator = await Operator.connect(guest.operatorSocket);
      const names = ["old.qcow2", "common.qcow2"].map((name) => path.join(folder, "path1", name));
      assert.equal(await operator.activeImage("vda"), names[0]);
      assert.deepEqual((await guest.openFiles()).filter((file) => file.endsWith(".qcow2")).sort(), names.toSorted());
      const links = (await chainOf(names[0] ?? "")).map((link) => [link.path, link.backingName]);
      assert.deepEqual(links, [
        [names[0], "common.qcow2"],
        [names[1], undefined],
      ]);
    });

    it("loses nothing when QEMU is killed and booted again, and numbers on", async () => {
      await guest.kill();
      const last = guest.acknowledged();
      assert.deepEqual(await checkNow(), { acknowledged: guest.disk().acknowledged().length, lost: [], corrupt: [] });
      await guest.boot();
      await guest.waitForRecords(5);
      assert.ok(guest.acknowledged() > last);
      await guest.stop();
      assert.deepEqual(await checkNow(), { acknowledged: guest.disk().acknowledged().length, lost: [], corrupt: [] });
    });

    it("fails in words when QEMU cannot open its image", async () => {
      await guest.kill();
      await assert.rejects(guest.boot({ vda: path.join(folder, "nowhere.qcow2") }), /QEMU has ended.*No such file/s);
      assert.equal(guest.state(), "stopped");
    });
  });

  describe("whose image was damaged", () => {
    before(async () => {
      await start();
      await guest.waitForRecords(5);
      await guest.stop();
    });
    after(end);

    it("is reported for a destroyed record", async () => {
      const last = guest.acknowledged();
      const check = await checkAfter(`write -P 0xee ${slotOffset(slotOf(last))} 512`);
      assert.deepEqual([check.lost, check.corrupt], [[last], [slotOf(last) * clusterBytes]]);
    });

    it("is reported for an older record in the place of a safe one", async () => {
      const newer = guest.acknowledged() + slots; // as if the guest had gone round once more
      const check = await checkImage(guest.disk().chain[0] ?? "", { ...guest.disk(), acknowledged: () => [newer] });
      assert.deepEqual([check.lost, check.corrupt], [[newer], []]);
    });

    it("is reported for a record of another disk", async () => {
      await writeFile(path.join(folder, "other-record"), recordOf("vdb", guest.acknowledged()));
      const check = await checkAfter(`write -s other-record ${slotOffset(slotOf(guest.acknowledged()))} 4096`);
      assert.deepEqual(check.lost, [guest.acknowledged()]);
    });

    it("is reported for one changed byte beside a record, in a lower layer's part, and far outside", async () => {
      const beside = slotOf(guest.acknowledged()) * clusterBytes + clusterBytes - 512;
      const check = await checkAfter(`write -P 0xee ${beside} 512`, "write -P 0xee 50M 512", "write -P 0xee 900M 512");
      assert.deepEqual([check.lost, check.corrupt], [[], [beside + 512 - clusterBytes, 50 * 2 ** 20, 900 * 2 ** 20]]);
    });

    it("is reported for a hole where the base should be", async () => {
      const check = await checkAfter("write -z 60M 1M");
      assert.deepEqual([check.lost, check.corrupt.length], [[], 16]);
    });

    it("cannot be judged when the guest called nothing safe", async () => {
      const silent = { ...guest.disk(), acknowledged: () => [] };
      await assert.rejects(checkImage(silent.chain[0] ?? "", silent), /called no record of vda safe/);
    });
  });

  const checkNow = () => checkImage(guest.disk().chain[0] ?? "", guest.disk());

  /** Checks an overlay of the guest's image in which qemu-io has done harm: the image itself stays whole. */
  async function checkAfter(...harm: string[]): Promise<Check> {
    const overlay = path.join(folder, "path1", "harmed.qcow2");
    await run("qemu-img", ["create", "-q", "-f", "qcow2", "-b", "old.qcow2", "-F", "qcow2", overlay]);
    await run("qemu-io", ["-f", "qcow2", ...harm.flatMap((command) => ["-c", command]), overlay], { folder });
    const check = await checkImage(overlay, guest.disk());
    await rm(overlay);
    return check;
  }
});

describe("a test guest with many kinds of disk", function () {
  this.timeout(180_000);
  let made: MadeFolder;
  let folder: string;
  let guest: Guest;

  before(async () => {
    made = await makeFolder("livedisk-guest-");
    folder = made.path;
    const storage = path.join(folder, "path1");
    await symlink(storage, path.join(folder, "link"));
    guest = await startGuest({
      folder,
      style: "drive",
      emptyDrive: "cd0",
      uuid: "9a0c4d2e-1111-4222-8333-444455556666",
      disks: [
        { storage, through: path.join(folder, "link"), serial: "FIRST" },
        { storage, layers: rawImage(), maxBytesPerSecond: 50_000_000 },
        { storage, layers: threeLayers(), iothread: "own" },
        { storage, layers: rawImage("frozen.raw"), access: "read-only" },
        { id: "scsi-a", storage, layers: [{ file: "a.qcow2" }], bus: "virtio-scsi" },
      ],
    });
  });
  after(async () => {
    await guest?.kill();
    await made.remove();
  });

  it("writes to each that it may write to, and all of it is found after a kill", async () => {
    await guest.waitForRecords(10);
    await using operator = await Operator.connect(guest.operatorSocket);
    assert.equal(await operator.activeImage("vda"), path.join(folder, "link/old.qcow2"));
    await guest.kill();
    for (const disk of guest.disks.filter((one) => one.access === "read-write")) {
      const check = await checkImage(disk.chain[0] ?? "", disk);
      assert.deepEqual([check.lost, check.corrupt], [[], []], disk.id);
      assert.ok(check.acknowledged >= 10);
    }
    assert.equal(guest.acknowledged("vdd"), 0);
  });

  it("boots with explicit nodes, too", async () => {
    const explicit = await startGuest({
      folder: path.join(folder, "b"),
      disks: [{ storage: path.join(folder, "path1"), maxBytesPerSecond: 50_000_000 }],
    });
    await explicit.waitForRecords(3);
    await using operator = await Operator.connect(explicit.operatorSocket);
    const blocks = JSON.stringify(await operator.execute("query-block"));
    assert.match(blocks, /"node-name":"vda-throttle"/);
    await explicit.stop();
  });
});

describe("a test guest without a disk to write to", () => {
  it("fails loudly", async function () {
    this.timeout(180_000);
    const { path: folder, remove } = await makeFolder("livedisk-guest-");
    await assert.rejects(startGuest({ folder, disks: [] }), /does not see its disks.*NODISK/s);
    await remove();
  });
});
