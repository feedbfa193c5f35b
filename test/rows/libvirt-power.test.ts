/** The power of the whole host is cut while a guest of libvirt's moves with strategy snapshot: definitions and images on file systems of their own. */

import assert from "node:assert/strict";
import path from "node:path";
import { Runner } from "../adversity/runner.js";
import { LibvirtStage } from "../hypervisor/libvirt/stage.js";
import { until } from "../sandbox/command.js";
import { CutDisk } from "../sandbox/cut-disk.js";
import { killQuietly } from "../sandbox/processes.js";
import type { Sandbox } from "../sandbox/sandbox.js";

interface Disks {
  definitions: CutDisk;
  images: CutDisk[];
}

async function mountAll(sandbox: Sandbox): Promise<Disks> {
  const definitions = await CutDisk.mount(sandbox, path.join(sandbox.folder, "libvirt/etc"), 16);
  const images = await Promise.all(["path1", "path2"].map((side) => CutDisk.mount(sandbox, path.join(sandbox.folder, "web", side), 400)));
  return { definitions, images };
}

/** The path of the first disk in the definition that a power cut would leave. */
async function lastingSource({ definitions }: Disks): Promise<string | undefined> {
  return /<source file='(.*?)'/.exec(await definitions.lasting("qemu/web.xml"))?.[1];
}

/** All that runs on the host is gone, with what it has not synced; libvirtd starts again. */
async function cutPower(stage: LibvirtStage, run: Runner, { definitions, images }: Disks): Promise<void> {
  const disks = [definitions, ...images];
  const left = await CutDisk.cut(disks, async () => {
    await stage.libvirtd.kill();
    await stage.libvirtd.killGuestSoon(stage.guest.name);
    for (const pid of await stage.sandbox.sshd.servedPids()) killQuietly(pid);
    await run.kill();
  });
  await stage.libvirtd.stop(); // its log daemon
  for (const [index, disk] of disks.entries()) await disk.replace(left[index] ?? "");
  await stage.libvirtd.launch();
}

describe("a host whose power is cut while a guest of libvirt's moves with strategy snapshot", function () {
  this.timeout(240_000);

  it("has the overlay in the lasting definition before the guest writes to it: its next start finds every write, and the next up ends the move", async () => {
    let disks: Disks | undefined;
    const prepare = async (sandbox: Sandbox) => {
      disks = await mountAll(sandbox);
    };
    await using stage = await LibvirtStage.open({ definitions: "seen", prepare });
    assert(disks);
    for (const disk of [disks.definitions, ...disks.images]) await disk.settle();
    const news = { ...stage.arguments, strategy: "snapshot" };
    await stage.virshLog.hold("snapshot-create-as");
    const run = new Runner({ ...news, maxBytesPerSecond: 1 << 20 });
    const isTold = async () => (await stage.virshLog.sent()).some((line) => line.startsWith("snapshot-create-as")) || undefined;
    await until(60, isTold, () => `No freeze: ${run.lines.at(-1)}`);
    const overlay = await lastingSource(disks);
    await stage.virshLog.release();
    await run.says(/copying/);
    await stage.guest.waitForRecords(20);
    assert.equal((await stage.places()).live, overlay);
    await cutPower(stage, run, disks);
    await stage.guest.boot();
    await stage.guest.waitForRecords(5);
    await stage.moves({ strategy: "snapshot" });
    const active = stage.at("path2/old.qcow2");
    assert.deepEqual(await stage.places(), { live: active, inactive: active });
    assert.equal(await lastingSource(disks), active);
    await stage.guest.destroy();
    await stage.holdsAll(active);
  });
});
