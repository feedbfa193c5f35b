import assert from "node:assert/strict";
import { readFile, stat, truncate } from "node:fs/promises";
import path from "node:path";
import { checkImage } from "./check.js";
import { type DiskOptions, oneLayer, planDisks, rawImage } from "./disks.js";
import { type MadeFolder, makeFolder } from "./folders.js";
import { type Guest, startGuest } from "./guest.js";
import { Operator } from "./operator.js";
import { HeldRam, isRestorable, savedRam } from "./saved-guest.js";

/** No other test has a guest of this layout, whose RAM is spoiled here. */
const disksIn = (storage: string, virtualMiB: number): DiskOptions[] =>
  ["a", "b", "c", "d"].map((id) => ({
    id,
    storage,
    virtualMiB,
    layers: oneLayer(`${id}.qcow2`),
    bus: id === "d" ? "virtio-scsi" : "virtio-blk",
  }));

describe("a test guest that is restored from saved RAM", function () {
  this.timeout(180_000);
  let made: MadeFolder;
  let guest: Guest;
  const at = (...names: string[]) => path.join(made.path, ...names);
  const layout = () => ({ disks: planDisks(disksIn(at("path1"), 1024)) });

  before(async () => {
    made = await makeFolder("livedisk saved guest ");
    guest = await startGuest({ folder: made.path, disks: disksIn(at("path1"), 1024) });
  });
  after(async () => {
    await guest?.kill();
    await made.remove();
  });

  it("runs, and to a monitor it looks like one that booted", async () => {
    await using operator = await Operator.connect(guest.operatorSocket);
    assert.equal(((await operator.execute("query-status")) as { status: string }).status, "running");
    assert.equal(((await operator.execute("query-migrate")) as { status?: string }).status, "completed");
    assert(await isReadBy(operator), "the guest has read all its disks since");
  });

  it("numbers its records on from one start to the next, and loses none, on disks that it did not write to itself", async () => {
    await guest.kill();
    const last = guest.acknowledged("a");
    await guest.boot();
    await guest.waitForRecords(5);
    assert(guest.acknowledged("a") > last);
    await guest.kill();
    for (const disk of guest.disks) {
      const { lost, corrupt } = await checkImage(disk.chain[0] ?? "", disk);
      assert.deepEqual([lost, corrupt], [[], []], disk.id);
    }
  });

  it("may have disks of another size, format and content than the one before", async () => {
    const storage = at("other", "path1");
    const disks = disksIn(storage, 64).map((disk) => ({
      ...disk,
      layers: rawImage(`${disk.id}.raw`).map((layer) => ({ ...layer, fill: { byte: 0x44, fromMiB: 0, lengthMiB: 64 } })),
    }));
    assert.equal(await savedRam({ disks: planDisks(disks) }), await savedRam(layout()));
    const other = await startGuest({ folder: at("other"), disks });
    await other.waitForRecords(5);
    await other.kill();
    for (const disk of other.disks) {
      const { lost, corrupt } = await checkImage(disk.chain[0] ?? "", disk);
      assert.deepEqual([lost, corrupt], [[], []], disk.id);
    }
  });

  it("fails in QEMU's words when another guest has its image", async () => {
    await guest.boot();
    await assert.rejects(startGuest({ folder: at("second"), disks: disksIn(at("path1"), 1024) }), /Failed to get "write" lock/);
    await guest.kill();
  });

  it("starts all the same when that RAM is cut off: it is made again", async () => {
    const ram = await savedRam(layout());
    const { size } = await stat(ram);
    await truncate(ram, Math.floor(size / 2));
    await guest.boot();
    assert((await stat(ram)).size > size / 2 + 1);
  });

  it("can be restored from RAM that another worker has removed since", async () => {
    await using held = await HeldRam.of(layout());
    await held.forget();
    const source = held.arguments.at(-1)?.replace("exec:cat ", "") ?? "";
    assert((await readFile(source)).length > 1024 * 1024);
    await using again = await HeldRam.of(layout());
    assert.equal(again.file, held.file);
  });
});

describe("a test guest boots", () => {
  const storage = "/srv";
  for (const [what, layout, expected] of [
    ["not, by default", { disks: planDisks([{ storage }]) }, true],
    ["with an nvme disk, which QEMU does not migrate", { disks: planDisks([{ storage }, { storage, bus: "nvme" }]) }, false],
    ["with device properties that are not known here", { disks: planDisks([{ storage, deviceOptions: ["num-queues=2"] }]) }, false],
    ["with more of a command line", { disks: planDisks([{ storage }]), extraArguments: ["-device", "virtio-rng-pci"] }, false],
    ["with a QEMU of the test's own", { disks: planDisks([{ storage }]), command: ["qemu"] }, false],
  ] as const) {
    it(what, () => assert.equal(isRestorable(layout), expected));
  }
});

/** Whether each of its disks was read. */
async function isReadBy(operator: Operator): Promise<boolean> {
  const all = (await operator.execute("query-blockstats")) as { stats: { rd_operations: number } }[];
  return all.length > 0 && all.every(({ stats }) => stats.rd_operations > 0);
}
