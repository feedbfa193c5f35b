/** A backup's `virsh snapshot-create-as` that comes in the moment of a freeze or of a copy of ours. */

import assert from "node:assert/strict";
import { readdir, writeFile } from "node:fs/promises";
import { struck } from "../hypervisor/libvirt/alone.js";
import { LibvirtStage } from "../hypervisor/libvirt/stage.js";
import { stoppedAt } from "../hypervisor/libvirt/stopped.js";
import { until } from "../sandbox/command.js";
import { mourn } from "../sandbox/processes.js";

describe("a snapshot that somebody else takes through libvirt", function () {
  this.timeout(240_000);
  let stage: LibvirtStage;
  beforeEach(async () => {
    stage = await LibvirtStage.open();
  });
  afterEach(() => stage[Symbol.asyncDispose]());

  const theirs = () => stage.at("path1/theirs.qcow2");

  async function take(): Promise<void> {
    const spec = `vda,snapshot=external,driver=qcow2,file=${theirs()}`;
    await stage.libvirtd.virsh("snapshot-create-as", "web", "--disk-only", "--atomic", "--no-metadata", "--diskspec", spec);
  }

  /** The command of ours is held back for some seconds, and meanwhile the backup takes its snapshot. */
  async function meanwhile(command: string, going: () => Promise<unknown>): Promise<string> {
    await stage.virshLog.delay(command, 4);
    const ended = going().then(
      () => "It was not refused.",
      (reason: unknown) => (reason instanceof Error ? reason.message : String(reason)),
    );
    const told = async () => (await stage.virshLog.sent()).some((line) => line.startsWith(command)) || undefined;
    await until(60, told, () => `Nothing says ${command}.`);
    await take();
    await stage.virshLog.delay(command, 0);
    await stage.guest.waitForRecords(10);
    return ended;
  }

  async function theirsStays(message: string): Promise<void> {
    assert(message.includes(theirs()), message);
    assert.deepEqual(await stage.places(), { live: theirs(), inactive: theirs() });
    assert.deepEqual(await stage.chainOf(theirs()), [theirs(), stage.at("path1/old.qcow2"), stage.at("path1/common.qcow2")]);
    await stage.survivesRestart(theirs());
  }

  it("between the definition of the overlay and the freeze of strategy snapshot is kept: the freeze is undone, and the next start finds every write", async () => {
    const message = await meanwhile("snapshot-create-as", () => stage.moves({ strategy: "snapshot" }));
    assert.match(message, /in the same moment somebody else has put .*theirs\.qcow2 on top of its image\. The freeze was undone/);
    assert.deepEqual((await readdir(stage.at("path1"))).sort(), ["common.qcow2", "old.qcow2", "theirs.qcow2"]);
    assert.deepEqual(await readdir(stage.at("path2")), []);
    await theirsStays(message);
  });

  it("right before a move's blockcopy begins is kept: that copy is called off before its pivot", async () => {
    const message = await meanwhile("blockcopy", () => stage.moves());
    assert.match(message, /somebody has put .*theirs\.qcow2 on top of .*old\.qcow2/);
    await theirsStays(message);
  });

  it("in the moment of the freeze of strategy snapshot is kept if the run is killed then and the guest started: its definition names the whole chain", async () => {
    await stage.virshLog.delay("snapshot-create-as", 4);
    let taken: Promise<void> | undefined;
    await struck({
      news: { ...stage.arguments, strategy: "snapshot" },
      isThere: async () => {
        const sent = await stage.virshLog.sent();
        if (sent.some((line) => line.startsWith("snapshot-create-as")))
          taken ??= take().then(() => stage.virshLog.delay("blockcommit", 60));
        return sent.some((line) => line.startsWith("blockcommit"));
      },
      strike: (run) => mourn(run, "SIGKILL"),
    });
    await taken;
    await stage.virshLog.delay("blockcommit", 0);
    await stage.guest.waitForRecords(10);
    await stage.guest.destroy();
    await stage.guest.boot();
    await assert.rejects(stage.moves({ strategy: "snapshot" }), /The freeze was undone/);
    await theirsStays(theirs());
  });

  it("on the overlay of strategy snapshot is named by the next run, and the persistent definition that misses it is corrected", async () => {
    await stoppedAt("copying", stage, { strategy: "snapshot", maxBytesPerSecond: 8 << 20 });
    const { live: overlay = "" } = await stage.places();
    await take();
    // as it is where libvirt did not let it follow, because it named an overlay of ours before that was there
    const xml = await stage.libvirtd.virsh("dumpxml", "--inactive", "web");
    await writeFile(stage.at("behind.xml"), xml.replaceAll(theirs(), overlay));
    await stage.libvirtd.virsh("define", stage.at("behind.xml"));
    await stage.guest.waitForRecords(10);
    await assert.rejects(stage.moves({ strategy: "snapshot" }), (thrown) => {
      assert(thrown instanceof Error);
      assert(thrown.message.includes(`somebody has put ${theirs()} on top of ${overlay}`), thrown.message);
      return true;
    });
    assert.deepEqual(await stage.places(), { live: theirs(), inactive: theirs() });
    await stage.survivesRestart(theirs());
  });
});
