/** Nobody but the switch may suspend a guest, and what the switch has suspended runs again, whatever is killed meanwhile. */

import assert from "node:assert/strict";
import { chmod } from "node:fs/promises";
import path from "node:path";
import type { Properties } from "../../provider/core/lifecycle.js";
import { storageMigration } from "../../provider/resources/storage-migration/lifecycle.js";
import { struck } from "../hypervisor/libvirt/alone.js";
import { LibvirtStage } from "../hypervisor/libvirt/stage.js";
import { killSwitch } from "../hypervisor/libvirt/switch-processes.js";
import { run, until } from "../sandbox/command.js";
import { makeFolder } from "../sandbox/folders.js";
import { mourn } from "../sandbox/processes.js";
import { RottingStorage } from "../sandbox/rotting-storage.js";
import { created, Recorder } from "../storage-migration/stage.js";

describe("a guest of libvirt's that a switch has suspended", function () {
  this.timeout(180_000);

  it("runs on after the next up, if all of the switch on the host was killed", async () => {
    await using stage = await LibvirtStage.open();
    await cutInSwitch(stage);
    await created(storageMigration, stage.arguments);
    await runsOn(stage, stage.at("path2/old.qcow2"));
  });

  it("is told of by a refresh, and runs on after a destroy, if all of the switch on the host was killed", async () => {
    await using stage = await LibvirtStage.open();
    await cutInSwitch(stage);
    const { inputs } = storageMigration.check({}, stage.arguments);
    const refresh = new Recorder();
    await storageMigration.read("id", inputs, refresh);
    await storageMigration.delete("id", inputs, new Recorder());
    await runsOn(stage, stage.at("path1/old.qcow2"));
    assert.match(refresh.said.join("\n"), /warning: web on .* is suspended for a switch/);
  });

  it("runs on by itself, if libvirtd is killed while QEMU's stop waits for the storage", async () => {
    const slow = await makeFolder("livedisk-slow-");
    await chmod(slow.path, 0o755);
    const storage = path.join(slow.path, "storage");
    await using _ = { [Symbol.asyncDispose]: () => slow.remove() };
    await using __ = await RottingStorage.mount(storage, 256);
    await using stage = await LibvirtStage.open({ disks: () => [{ storage }] });
    await stage.virshLog.hold("suspend '");
    const going = created(storageMigration, stage.arguments).catch(() => undefined);
    await sends(stage, "suspend '");
    await run("fsfreeze", ["--freeze", storage]);
    try {
      await stage.virshLog.release(); // QEMU stops only once the storage does not write any more
      await isBusy(stage);
      await stage.libvirtd.kill();
      await sends(stage, "hostname", going);
    } finally {
      await run("fsfreeze", ["--unfreeze", storage]);
    }
    await stage.libvirtd.launch();
    await going;
    await becomesRunning(stage);
    await created(storageMigration, stage.arguments);
    await runsOn(stage, stage.at("path2/old.qcow2"));
  });

  it("runs on by itself, if libvirtd is killed at the resume and once more at its second try", async () => {
    await using stage = await LibvirtStage.open();
    await stage.virshLog.hold("resume '");
    const going = created(storageMigration, stage.arguments).catch(() => undefined);
    for (const times of [1, 2]) {
      await sends(stage, "resume '", going, times);
      const before = await sent(stage, "hostname");
      await stage.libvirtd.kill();
      await stage.virshLog.release();
      await sends(stage, "hostname", going, before + 1);
      if (times === 1) await stage.virshLog.hold("resume '");
      await stage.libvirtd.launch();
    }
    await going;
    await becomesRunning(stage);
    await created(storageMigration, stage.arguments);
    await runsOn(stage, stage.at("path2/old.qcow2"));
  });

  it("stays paused if an operator has paused it right before", async () => {
    await using stage = await LibvirtStage.open();
    const asked = "dumpxml --inactive '";
    await stage.virshLog.hold(asked);
    const going = created(storageMigration, stage.arguments);
    await sends(stage, asked);
    await stage.libvirtd.virsh("suspend", stage.guest.name);
    await stage.virshLog.release();
    const { outputs } = await going;
    assert.equal(await stage.guest.state(), "paused");
    assert.equal((outputs.moves as Record<string, Properties>).vda?.phase, "settled");
    await stage.libvirtd.virsh("resume", stage.guest.name);
    await runsOn(stage, stage.at("path2/old.qcow2"));
  });
});

/** A run and all of its switch on the host are killed between the suspend and the pivot. */
async function cutInSwitch(stage: LibvirtStage): Promise<void> {
  await stage.virshLog.delayPivots(20);
  await struck({
    news: stage.arguments,
    isThere: async () => (await sent(stage, "blockjob --pivot '")) > 0,
    async strike(child) {
      await killSwitch(stage);
      await mourn(child, "SIGKILL");
    },
  });
  await stage.virshLog.delayPivots(0);
  assert.equal(await stage.guest.state(), "paused");
}

/** How often virsh was told this. */
async function sent(stage: LibvirtStage, what: string): Promise<number> {
  return (await stage.virshLog.sent()).filter((line) => line.startsWith(what)).length;
}

/** Waits until virsh was told this so often, or the run has ended before. */
async function sends(stage: LibvirtStage, what: string, going?: Promise<unknown>, times = 1): Promise<void> {
  let over = false;
  void going?.then(() => {
    over = true;
  });
  const isSent = async () => (over || (await sent(stage, what)) >= times ? true : undefined);
  await until(60, isSent, () => `virsh was not told "${what}" ${times} times.`);
}

/** Waits until QEMU keeps libvirt waiting: a question about a job has no answer within a second. */
async function isBusy({ libvirtd, guest }: LibvirtStage): Promise<void> {
  const asked = () => run("timeout", ["1", "virsh", "-q", "-c", libvirtd.uri, "blockjob", "--raw", guest.name, "vda"]);
  const isLate = () =>
    asked().then(
      () => undefined,
      () => true as const,
    );
  await until(60, isLate, () => "QEMU answers all the time.");
}

async function becomesRunning(stage: LibvirtStage): Promise<void> {
  const isRunning = async () => ((await stage.guest.state()) === "running" ? true : undefined);
  await until(60, isRunning, () => "The guest is suspended still.");
}

async function runsOn(stage: LibvirtStage, active: string): Promise<void> {
  assert.equal(await stage.guest.state(), "running");
  assert.deepEqual(await stage.places(), { live: active, inactive: active });
  await stage.guest.waitForRecords(5);
  await stage.guest.destroy();
  await stage.holdsAll(active);
}
