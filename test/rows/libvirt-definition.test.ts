/** The persistent definition of a domain that somebody else changes, or goes by, while a disk moves: the next start finds every write, and nobody's change is lost. */

import assert from "node:assert/strict";
import { readdir, symlink, writeFile } from "node:fs/promises";
import { storageMigration } from "../../provider/resources/storage-migration/lifecycle.js";
import { LibvirtStage } from "../hypervisor/libvirt/stage.js";
import { until } from "../sandbox/command.js";
import { created, Recorder } from "../storage-migration/stage.js";

describe("a guest of libvirt's whose persistent definition is somebody else's too", function () {
  this.timeout(300_000);

  it("is destroyed and started between the pivot and the definition: what it writes then is found by the next start", async () => {
    await using stage = await LibvirtStage.open();
    await symlink(stage.at("path1"), stage.at("alias"));
    // then libvirt itself does not take the definition along in the pivot: it compares names
    await redefined(stage, (xml) => xml.replaceAll(stage.at("path1/old.qcow2"), stage.at("alias/old.qcow2")));
    await stage.virshLog.delay("blockjob --pivot", 4);
    const going = created(storageMigration, stage.arguments).then(
      () => "moved",
      (reason: unknown) => String(reason),
    );
    await sends(stage, "blockjob --pivot");
    await stage.virshLog.hold("--inactive");
    const before = await sent(stage, "--inactive");
    await sends(stage, "--inactive", before + 1);
    await stage.guest.destroy();
    // either it is kept from the image that is being left, or the switch follows it
    const isStarted = await stage.guest.boot().then(
      () => true,
      () => false,
    );
    await stage.virshLog.release();
    await going;
    if (!isStarted) await stage.guest.boot();
    await stage.guest.waitForRecords(10);
    await stage.guest.destroy();
    await stage.guest.boot();
    await created(storageMigration, stage.arguments);
    await stage.survivesRestart(stage.at("path2/old.qcow2"));
  });

  it("gets its old definition again in the middle of a long copy: it is corrected, and a start then finds every write", async () => {
    await using stage = await LibvirtStage.open();
    const old = await stage.libvirtd.virsh("dumpxml", "--inactive", stage.guest.name);
    const run = new Recorder();
    const slow = { ...stage.arguments, strategy: "snapshot", maxBytesPerSecond: 1 << 20 };
    const ended = created(storageMigration, slow, run).catch(() => undefined);
    await until(
      90,
      () => (run.lines.some((line) => line.includes("copying")) ? true : undefined),
      () => run.lines.join("; "),
    );
    await stage.guest.waitForRecords(10);
    await redefined(stage, () => old);
    const isCorrected = async () => {
      const { live, inactive } = await stage.places();
      return inactive === live || undefined;
    };
    await until(30, isCorrected, () => "The definition names the frozen image.");
    run.ask();
    await ended;
    await stage.guest.waitForRecords(5);
    await stage.guest.destroy();
    await stage.guest.boot();
    await created(storageMigration, { ...stage.arguments, strategy: "snapshot" });
    await stage.survivesRestart(stage.at("path2/old.qcow2"));
  });

  it("has two disks swapped there: neither is moved, and the definition stays as it is", async () => {
    await using stage = await LibvirtStage.open({ disks: (at) => [{ storage: at("path1") }, { storage: at("path1") }] });
    const [vda = "", vdb = ""] = stage.guest.disks.map(({ chain }) => chain[0]);
    await redefined(stage, (xml) => xml.replaceAll(vda, "@").replaceAll(vdb, vda).replaceAll("@", vdb));
    await assert.rejects(stage.moves(), /gives .*old\.qcow2 to vdb/);
    assert.deepEqual(
      [await stage.places("vda"), await stage.places("vdb")],
      [
        { live: vda, inactive: vdb },
        { live: vdb, inactive: vda },
      ],
    );
    assert.deepEqual(await readdir(stage.at("path2")), []);
  });

  it("is changed there by an operator right before the pivot: the change stays, and the disk is defined where it is", async () => {
    await using stage = await LibvirtStage.open();
    await redefined(stage, (xml) => xml.replaceAll(stage.at("path1/old.qcow2"), stage.at("path1/other.qcow2")));
    await stage.virshLog.hold("blockjob --pivot");
    const going = created(storageMigration, stage.arguments);
    await sends(stage, "blockjob --pivot");
    await redefined(stage, (xml) => xml.replace("discard='unmap'", "discard='ignore'"));
    await stage.virshLog.release();
    await going;
    const { name } = stage.guest;
    assert.match(await stage.libvirtd.virsh("dumpxml", "--inactive", name), /<driver name='qemu' type='qcow2' discard='ignore'\/>/);
    await stage.survivesRestart(stage.at("path2/old.qcow2"));
  });
});

/** `virsh define` of what is defined now, changed. */
async function redefined({ libvirtd, guest }: LibvirtStage, change: (xml: string) => string): Promise<void> {
  const file = guest.at("theirs.xml");
  await writeFile(file, change(await libvirtd.virsh("dumpxml", "--inactive", guest.name)));
  await libvirtd.virsh("define", file);
}

async function sent(stage: LibvirtStage, what: string): Promise<number> {
  return (await stage.virshLog.sent()).filter((line) => line.includes(what)).length;
}

async function sends(stage: LibvirtStage, what: string, times = 1): Promise<void> {
  const isSent = async () => ((await sent(stage, what)) >= times ? true : undefined);
  await until(90, isSent, () => `virsh was not told "${what}" ${times} times.`);
}
