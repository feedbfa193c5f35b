/** A job of somebody else's that begins in the middle of a move, when the preflight is long over. */

import assert from "node:assert/strict";
import path from "node:path";
import { Recorder, Stage } from "./stage.js";

const disks = (at: (...names: string[]) => string) => [
  { storage: at("path1"), layers: [{ file: "base.qcow2", fill: { byte: 0x11, fromMiB: 8, lengthMiB: 12 } }, { file: "top.qcow2" }] },
];

describe("a job of somebody else's that begins in the copy", function () {
  this.timeout(180_000);

  it("keeps the mirror from starting, in words; when it has ended, the next run mirrors without another copy", async () => {
    await using stage = await Stage.open({ disks });
    const target = path.join(stage.sandbox.folder, "backup.qcow2"); // outside: it takes what the guest overwrites
    const device = await stage.operator.activeNode("vda");
    const backup = { "job-id": "nightly", device, target, sync: "full", speed: 1, format: "qcow2" };
    const message = await refusedAtCopy(stage, () => stage.operator.execute("drive-backup", backup));
    assert.match(message, /somebody else's job runs on it \(backup nightly\).*what was copied is kept/);
    await stage.endJob("nightly");
    const run = new Recorder();
    const { vda } = await stage.moves({}, run);
    assert.equal(vda?.phase, "settled");
    assert(!run.lines.some((line) => line.includes("copying")), "it was copied again");
    await stage.guest.waitForRecords(10);
    await stage.guest.stop();
    await stage.holdsAll(stage.at("path2", "top.qcow2"));
  });
});

describe("a migration of somebody else's that begins in our mirror", function () {
  this.timeout(180_000);

  it("ends the move, if need be with its QEMU, and the guest boots from the source with every record", async () => {
    await using stage = await Stage.open({ disks });
    const run = new Recorder();
    let migrating: Promise<unknown> | undefined;
    run.progress = (text) => {
      if (text.startsWith("vda mirroring")) migrating ??= stage.operator.execute("migrate", { uri: "exec:cat >/dev/null" });
    };
    // QEMU 7.2 ends by an assertion when a mirror writes after the images were given up (bdrv_co_write_req_prepare(), block/io.c)
    await assert.rejects(stage.moves({ maxBytesPerSecond: 1_000_000 }, run));
    await migrating;
    await stage.reboot();
    assert.equal(await stage.operator.activeImage("vda"), stage.at("path1", "top.qcow2"));
    await stage.guest.waitForRecords(5);
    assert.equal((await stage.moves()).vda?.phase, "settled");
    await stage.guest.waitForRecords(5);
    await stage.guest.stop();
    await stage.holdsAll(stage.at("path2", "top.qcow2"));
  });
});

/** Does it at the first word of the copy, which takes some seconds. */
async function refusedAtCopy(stage: Stage, act: () => Promise<unknown>): Promise<string> {
  const run = new Recorder();
  let acted: Promise<unknown> | undefined;
  run.progress = (text) => {
    if (text.startsWith("vda copying")) acted ??= act();
  };
  try {
    await stage.moves({ maxBytesPerSecond: 4_000_000 }, run);
  } catch (thrown) {
    await acted;
    return (thrown as Error).message;
  }
  return assert.fail("The move went on.");
}
