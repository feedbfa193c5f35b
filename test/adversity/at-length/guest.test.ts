/** What a guest, or its operator, does in the middle of a move: pause, reboot, power off, unplug, and jobs of somebody else's. Nothing is lost. */

import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import path from "node:path";
import { isOurs } from "../../../provider/core/errors.js";
import { Unfinished } from "../../../provider/core/lifecycle.js";
import { storageMigration } from "../../../provider/resources/storage-migration/lifecycle.js";
import { until } from "../../sandbox/command.js";
import { longMirror, oneLayer } from "../../sandbox/disks.js";
import { Operator } from "../../sandbox/operator.js";
import { assertSentence, Recorder, Stage } from "../../storage-migration/stage.js";
import { saysOrEnds } from "../runner.js";

type Part = "copying" | "mirroring";
const oneDisk = { disks: (at: (...names: string[]) => string) => [{ storage: at("path1"), layers: longMirror }] };

/** A move that somebody does something to as soon as it has got somewhere. @returns what it threw, if it did */
async function disturbed(stage: Stage, during: Part, act: () => Promise<unknown>, more = {}): Promise<unknown> {
  const run = new Recorder();
  const begun = new RegExp(`${during} ([5-9]|[1-9]\\d) %`);
  let over = false;
  const ended = stage.moves({ maxBytesPerSecond: 4_000_000, ...more }, run).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  void ended.then(() => (over = true));
  await saysOrEnds(
    () => run.lines,
    begun,
    () => over,
  );
  if (over) assert.fail(`it was over before it was disturbed: ${await ended} ${run.lines}`);
  await act();
  return ended;
}

function saidInWords(thrown: unknown): string {
  assert(thrown instanceof Unfinished || isOurs(thrown), thrown instanceof Error ? thrown.stack : String(thrown));
  const { message } = thrown as Error;
  assertSentence(message.replace(/ current: .*/s, ""));
  if (process.env.SHOW_MESSAGES) console.log(`        > ${message}`);
  return message;
}

async function finished(stage: Stage): Promise<void> {
  assert.equal((await stage.moves()).vda?.phase, "settled");
  assert.equal(await stage.operator.activeImage("vda"), stage.at("path2", "old.qcow2"));
}

async function nothingLost(stage: Stage, image: string): Promise<void> {
  await stage.guest.waitForRecords(10);
  await stage.guest.stop();
  await stage.holdsAll(image);
}

describe("a guest in the middle of a move", function () {
  this.timeout(240_000);

  it("that is paused is moved all the same, and is still paused afterwards", async () => {
    await using stage = await Stage.open(oneDisk);
    const thrown = await disturbed(stage, "copying", () => stage.operator.execute("stop"));
    assert.equal(thrown, undefined);
    assert.equal(await stage.operator.activeImage("vda"), stage.at("path2", "old.qcow2"));
    assert.equal(((await stage.operator.execute("query-status")) as { status: string }).status, "paused");
    await stage.operator.execute("cont");
    await nothingLost(stage, stage.at("path2", "old.qcow2"));
  });

  for (const during of ["copying", "mirroring"] as const) {
    it(`that reboots while it is ${during} boots, and is moved`, async () => {
      // so slowly that it has not gone round when it begins to count from the start again
      await using stage = await Stage.open({ ...oneDisk, pauseMs: 150 });
      await stage.operator.execute("set-action", { reboot: "reset" });
      const thrown = await disturbed(stage, during, () => stage.operator.execute("system_reset"));
      if (thrown !== undefined) saidInWords(thrown);
      await finished(stage);
      await nothingLost(stage, stage.at("path2", "old.qcow2"));
    });

    it(`that powers off while it is ${during} is told with where it must boot from; booted, it is moved`, async () => {
      await using stage = await Stage.open(oneDisk);
      const off = async () => {
        await stage.operator.execute("system_reset"); // by its -no-reboot QEMU ends as for a guest that powers off
        await until(
          30,
          () => (stage.guest.state() === "stopped" ? true : undefined),
          () => "QEMU runs on.",
        );
      };
      const message = saidInWords(await disturbed(stage, during, off));
      assert.match(message, /current: vda at .*path1\/old\.qcow2\. If the guest does not run, start it from there/);
      await stage.holdsAll(stage.at("path1", "old.qcow2"));
      await stage.operator.close();
      await stage.boot();
      await finished(stage);
      await nothingLost(stage, stage.at("path2", "old.qcow2"));
    });
  }

  for (const [during, after] of [
    ["copying", "put back"],
    ["mirroring", "put back"],
    ["mirroring", "left out"],
  ] as const) {
    it(`whose disk is unplugged while it is ${during}, and ${after}, is told, and the others write on`, async () => {
      await using stage = await Stage.open({
        disks: (at) => [
          { storage: at("path1"), bus: "virtio-scsi", layers: longMirror },
          { storage: at("path1"), id: "vdb", bus: "virtio-scsi", layers: oneLayer("b.qcow2") },
        ],
      });
      const devices = (await stage.operator.execute("query-block")) as { qdev: string; inserted: { "node-name": string } }[];
      const device = devices.find(({ qdev }) => qdev.includes("vda")) ?? assert.fail(JSON.stringify(devices));
      const before = stage.guest.acknowledged("vda");
      const message = saidInWords(await disturbed(stage, during, () => stage.operator.execute("device_del", { id: "vda" })));
      assert.match(message, during === "mirroring" ? /vda was taken from the guest in the middle, and its job was cancelled/ : /vda/);
      const written = stage.guest.acknowledged("vdb");
      await until(
        90, // the guest's kernel tries the lost disk again before it gives up
        () => (stage.guest.acknowledged("vdb") > written + 5 ? true : undefined),
        () => "The other disk is not written to.",
      );
      assert(before > 0);
      if (after === "put back") {
        await stage.operator.execute("device_add", { driver: "scsi-hd", id: "vda", drive: device.inserted["node-name"] });
        const moves = await stage.moves();
        assert.equal(moves.vda?.phase, "settled");
        await stage.guest.stop();
        await stage.holdsAll(stage.at("path2", "old.qcow2"));
      } else {
        await stage.guest.stop();
        await stage.holdsAll(stage.at("path1", "old.qcow2"));
      }
    });
  }

  it("onto whose disk somebody else starts a job is told so; when that has ended, it is moved without another copy", async () => {
    await using stage = await Stage.open(oneDisk);
    const theirs = path.join(stage.sandbox.folder, "backup.qcow2");
    const device = await stage.operator.activeNode("vda");
    const backup = { "job-id": "nightly", device, target: theirs, sync: "full", speed: 1, format: "qcow2" };
    const message = saidInWords(await disturbed(stage, "copying", () => stage.operator.execute("drive-backup", backup)));
    assert.match(message, /nightly|busy|in use|block device is in use/i);
    await stage.guest.waitForRecords(5);
    assert((await readdir(stage.at("path2"))).includes("common.qcow2"));
    await stage.endJob("nightly");
    const run = new Recorder();
    assert.equal((await stage.moves({}, run)).vda?.phase, "settled");
    assert(!run.lines.some((line) => line.includes("copying")), "it was copied again");
    await nothingLost(stage, stage.at("path2", "old.qcow2"));
  });

  it("whose mirror somebody cancels by hand goes on at the source, and its next up mirrors anew", async () => {
    await using stage = await Stage.open(oneDisk);
    const cancelled = async () => {
      await using hand = await Operator.connect(stage.guest.operatorSocket);
      const [job] = (await hand.execute("query-jobs")) as { id: string }[];
      await hand.execute("job-cancel", { id: job?.id ?? "" });
    };
    await stage.operator.close();
    const message = saidInWords(await disturbed(stage, "mirroring", cancelled));
    assert.match(message, /job ended|current/);
    stage.operator = await Operator.connect(stage.guest.operatorSocket);
    await finished(stage);
    const { inputs } = storageMigration.check({}, stage.arguments);
    assert.equal(inputs.destination, stage.at("path2"));
    await nothingLost(stage, stage.at("path2", "old.qcow2"));
  });
});
