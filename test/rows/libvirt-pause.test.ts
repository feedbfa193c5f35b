/** Nobody but the switch may suspend a guest, and what the switch has suspended runs again, whatever is killed meanwhile. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { chmod, readdir, readFile } from "node:fs/promises";
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
    await using storage = await FreezableStorage.mount();
    await using stage = await LibvirtStage.open({ disks: () => [{ storage: storage.path }] });
    await stage.virshLog.hold("suspend '");
    const going = created(storageMigration, stage.arguments).catch(() => undefined);
    await sends(stage, "suspend '");
    await storage.whileFrozen(async () => {
      await waitsForStorage(stage); // QEMU stops only once it has written what it is writing
      await stage.virshLog.release();
      await isBusy(stage);
      await stage.libvirtd.kill();
      await sends(stage, "hostname", going);
    });
    await stage.libvirtd.launch();
    await going;
    await becomesRunning(stage);
    await created(storageMigration, stage.arguments);
    await runsOn(stage, stage.at("path2/old.qcow2"));
  });

  it("is told of with its QEMU, if libvirtd is killed in the pivot and cannot read its record of the guest afterwards", async () => {
    await using storage = await FreezableStorage.mount();
    await using stage = await LibvirtStage.open({ disks: () => [{ storage: storage.path }] });
    await stage.virshLog.hold("blockjob --pivot");
    const going = created(storageMigration, stage.arguments);
    const told = assert.rejects(going, (thrown: Error) => {
      assert.match(thrown.message, new RegExp(`its QEMU \\(process ${qemu}\\) lives, and stays suspended`));
      assert(thrown.message.includes(`a boot must use ${storage.path}/old.qcow2`), thrown.message);
      return true;
    });
    await sends(stage, "blockjob --pivot");
    const qemu = await stage.libvirtd.pidOf(stage.guest.name);
    await storage.whileFrozen(async () => {
      await stage.virshLog.release(); // QEMU lets go of the source only once that is written
      await hasLostItsJob(stage);
      await stage.libvirtd.kill();
    });
    await stage.libvirtd.launch();
    await told;
    const { inputs } = storageMigration.check({}, stage.arguments);
    const inUse = new RegExp(`path2/old\\.qcow2 is in use \\(process ${qemu} `);
    await assert.rejects(storageMigration.delete("id", inputs, new Recorder()), inUse);
    await endQemu(qemu);
    await stage.guest.boot();
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

/** A file system of its own that stops to write when it is asked to. */
class FreezableStorage implements AsyncDisposable {
  private constructor(
    readonly path: string,
    private readonly mounted: RottingStorage,
    private readonly remove: () => Promise<unknown>,
  ) {}

  static async mount(): Promise<FreezableStorage> {
    const folder = await makeFolder("livedisk-slow-");
    await chmod(folder.path, 0o755);
    const storage = path.join(folder.path, "storage");
    return new FreezableStorage(storage, await RottingStorage.mount(storage, 256), () => folder.remove());
  }

  async whileFrozen(work: () => Promise<void>): Promise<void> {
    await run("fsfreeze", ["--freeze", this.path]);
    try {
      await work();
    } finally {
      await run("fsfreeze", ["--unfreeze", this.path]);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.mounted[Symbol.asyncDispose]();
    await this.remove();
  }
}

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

/** Waits until libvirtd has written down that the job is over while the disk has its mirror still: it does not read that again (9.0). */
async function hasLostItsJob({ libvirtd, guest }: LibvirtStage): Promise<void> {
  const record = path.join(libvirtd.folder, "run/qemu", `${guest.name}.xml`);
  const isLost = async () => (await readFile(record, "utf8")).includes("<mirror type='file' job=''") || undefined;
  await until(60, isLost, () => `${record} says what kind of job it is.`);
}

/** Waits until a thread of the guest's QEMU stands in a call to its storage. */
async function waitsForStorage({ libvirtd, guest }: LibvirtStage): Promise<void> {
  const threads = `/proc/${await libvirtd.pidOf(guest.name)}/task`;
  const states = async () =>
    Promise.all((await readdir(threads)).map(async (id) => /\) (\S)/.exec(await readFile(`${threads}/${id}/stat`, "utf8"))?.[1]));
  await until(
    60,
    async () => (await states()).includes("D") || undefined,
    () => "The guest writes nothing.",
  );
}

async function endQemu(pid: number): Promise<void> {
  process.kill(pid, "SIGKILL");
  await until(
    60,
    async () => !existsSync(`/proc/${pid}/exe`) || undefined,
    () => `QEMU ${pid} did not end.`,
  );
}

async function becomesRunning(stage: LibvirtStage): Promise<void> {
  let state = "";
  const isRunning = async () => {
    state = await stage.libvirtd.virsh("domstate", "--reason", stage.guest.name);
    return state.startsWith("running") || undefined;
  };
  await until(60, isRunning, () => `The guest is ${state.trim()} still.`);
}

async function runsOn(stage: LibvirtStage, active: string): Promise<void> {
  assert.equal(await stage.guest.state(), "running");
  assert.deepEqual(await stage.places(), { live: active, inactive: active });
  await stage.guest.waitForRecords(5);
  await stage.guest.destroy();
  await stage.holdsAll(active);
}
