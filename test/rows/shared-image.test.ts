/** One active image in two guests: a move of one would leave the other on a file that nobody keeps any more. */

import assert from "node:assert/strict";
import { LibvirtStage } from "../hypervisor/libvirt/stage.js";
import { Workbench } from "../hypervisor/qemu/bare-guest.js";
import { rawImage } from "../sandbox/disks.js";
import { QmpProxy } from "../sandbox/qmp-proxy.js";
import { Recorder, Stage } from "../storage-migration/stage.js";

/** A guest of its own, whose CPUs never start, with this image. */
async function secondGuest(bench: Workbench, image: string, how: "reads" | "writes") {
  const file = { driver: "file", filename: image };
  const node = {
    writes: { driver: "qcow2", file: { ...file, locking: "off" } },
    reads: { driver: "qcow2", "read-only": true, "force-share": true, file },
  }[how];
  const blockdev = JSON.stringify({ "node-name": "shared", ...node });
  const started = await bench.start(["-blockdev", blockdev, "-device", "virtio-blk-pci,drive=shared,share-rw=on"]);
  await started.guest.jobs(); // it answers when all of its command line is done
  return started;
}

/** The error of a move. */
const refusalOf = (moving: Promise<unknown>): Promise<string> =>
  moving.then(
    () => assert.fail("It was not refused: the disk was moved."),
    (reason: Error) => reason.message,
  );

describe("an active image that another guest may use", function () {
  this.timeout(180_000);

  it("is not moved if its device has share-rw=on", async () => {
    const deviceOptions = ["share-rw=on"];
    await using stage = await Stage.open({ disks: (at) => [{ storage: at("path1"), layers: rawImage(), deviceOptions }] });
    assert.match(
      await stage.refuses({}),
      /its device has share-rw=on, so that another guest may write.*Nothing was touched\. Start the guest/,
    );
  });

  it("is not moved if a second guest has it open for reading", async () => {
    await using stage = await Stage.open();
    await using bench = await Workbench.create();
    const { pid } = await secondGuest(bench, stage.at("path1", "old.qcow2"), "reads");
    const message = await stage.refuses({});
    assert.match(message, /its active image .*old\.qcow2 is open more than once.*Nothing was touched\. Let this guest alone/);
    assert(message.includes(`(process ${pid}) reads`), message);
  });

  it("is not switched if a second guest opens it for writing while the mirror starts, and is moved once that guest has ended", async () => {
    await using stage = await Stage.open();
    await using bench = await Workbench.create();
    await using proxy = await QmpProxy.listen(stage.at("proxy.sock"), stage.guest.qmpSocket);
    const domain = { qmp: proxy.path };
    let second: Awaited<ReturnType<typeof secondGuest>> | undefined;
    proxy.before("blockdev-mirror", async () => {
      second = await secondGuest(bench, stage.at("path1", "old.qcow2"), "writes");
      return "forward" as const;
    });
    const message = await refusalOf(stage.moves({ domain }));
    assert(message.includes(`(process ${second?.pid}) writes`), message);
    await stage.guest.waitForRecords(5);
    assert.equal(await stage.operator.activeImage("vda"), stage.at("path1", "old.qcow2"));
    await second?.kill();
    assert.equal((await stage.moves({ domain })).vda?.phase, "settled");
    await stage.guest.waitForRecords(10);
    await stage.guest.stop();
    await stage.holdsAll(stage.at("path2", "old.qcow2"));
  });

  it("is not switched by libvirt if a second guest opens it for reading while it is mirrored", async () => {
    await using stage = await LibvirtStage.open();
    await using bench = await Workbench.create();
    const run = new Recorder();
    let starting: ReturnType<typeof secondGuest> | undefined;
    run.progress = (text) => {
      if (text.startsWith("vda mirroring")) starting ??= secondGuest(bench, stage.at("path1", "old.qcow2"), "reads");
    };
    const message = await refusalOf(stage.moves({ maxBytesPerSecond: 10_000_000 }, run));
    assert(message.includes(`(process ${(await starting)?.pid}) reads`), message);
    await stage.guest.waitForRecords(5);
    assert.deepEqual(await stage.places(), { live: stage.at("path1", "old.qcow2"), inactive: stage.at("path1", "old.qcow2") });
  });
});
