import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { rm } from "node:fs/promises";
import path from "node:path";
import { type MonitorPeer, openMonitor, type WorkerMonitor } from "../../../provider/host/worker/monitors.js";
import { recoverSwitch, runSwitch, type SwitchPlan } from "../../../provider/host/worker/switching.js";
import type { Worker } from "../../../provider/host/worker/worker.js";
import { run, until } from "../../sandbox/command.js";
import { mourn, watchOver } from "../../sandbox/processes.js";
import { localWorker, localWorkerProcess, undoLater, withWorkers } from "./harness.js";
import { after, before, namesOf, planOf, type SwitchBench, switchBench } from "./switch-bench.js";

const silent = { event: () => {}, closed: () => {} };
const numbers = [0, 1];

type Format = "raw" | "qcow2";

/** A QEMU that does not run its guest, with two disks whose mirrors are ready. */
class RealBench {
  private constructor(
    readonly bench: Pick<SwitchBench, "folder"> & { fake: { path: string } },
    readonly format: Format,
    readonly peer: MonitorPeer,
  ) {}

  static async start(format: Format): Promise<RealBench> {
    const { folder, fake } = await switchBench();
    fake.stop();
    for (const side of ["src", "dst"])
      for (const number of numbers) {
        await rm(path.join(folder, side, `disk${number}`));
        await run("qemu-img", ["create", "-q", "-f", format, path.join(folder, side, `disk${number}`), "8M"]);
      }
    const socket = path.join(folder, "real.sock");
    const disks = numbers.flatMap((number) => [
      "-blockdev",
      JSON.stringify({ driver: format, "node-name": `source${number}`, file: { driver: "file", filename: `${folder}/vm/disk${number}` } }),
      "-device",
      `virtio-blk-pci,drive=source${number},id=disk${number}`,
    ]);
    const words = ["-M", "q35,accel=tcg", "-m", "64", "-S", "-display", "none", "-nodefaults", "-qmp", `unix:${socket},server=on,wait=off`];
    const qemu = watchOver(spawn("qemu-system-x86_64", [...words, ...disks], { stdio: "ignore" }), "a QEMU");
    undoLater(() => mourn(qemu, "SIGKILL"));
    const worker = await localWorker();
    const open = () => openMonitor(worker, { path: socket }, silent).catch(() => undefined);
    const monitor = await until(20, open, () => "QEMU did not begin.");
    const real = new RealBench({ folder, fake: { path: socket } }, format, monitor.peer);
    await real.mirror(monitor);
    await monitor.close();
    return real;
  }

  private async mirror(monitor: WorkerMonitor): Promise<void> {
    const { format, bench } = this;
    for (const number of numbers) {
      await this.write(monitor, number, 1);
      const file = { driver: "file", filename: `${bench.folder}/dst/disk${number}` };
      await monitor.execute("blockdev-add", { driver: format, "node-name": `target${number}`, file });
      const modes = { sync: "full", "copy-mode": "write-blocking", "auto-finalize": false, "auto-dismiss": false };
      await monitor.execute("blockdev-mirror", {
        "job-id": `job${number}`,
        device: `source${number}`,
        target: `target${number}`,
        ...modes,
      });
    }
    const ready = async () => {
      const jobs = (await monitor.query("query-jobs")) as { status: string }[];
      return jobs.every(({ status }) => status === "ready") ? jobs : undefined;
    };
    await until(20, ready, () => "The mirrors are not ready.");
    for (const number of numbers) await this.write(monitor, number, 2);
  }

  /** As the guest would write: 64 KiB of this byte at its own place. */
  private async write(monitor: WorkerMonitor, number: number, byte: number): Promise<void> {
    for (const command of [`write -P ${byte} ${byte}M 64k`, "flush"])
      await monitor.execute("human-monitor-command", { "command-line": `qemu-io -d disk${number}/virtio-backend "${command}"` });
  }

  async plan(worker: Worker): Promise<SwitchPlan> {
    const plan = await planOf(worker, this.bench as SwitchBench);
    const disks = plan.disks.map((disk, number) => ({ ...disk, device: `/machine/peripheral/disk${number}/virtio-backend` }));
    return { ...plan, disks, pendingSeconds: 20 };
  }

  /** What a boot by the link finds holds all writes, those behind the switch too; QEMU is asked to write once more first, and ends then. */
  async holdsAll(worker: Worker): Promise<void> {
    const monitor = await openMonitor(worker, { path: this.bench.fake.path }, silent);
    for (const number of numbers) await this.write(monitor, number, 3);
    await monitor.execute("quit").catch(() => {});
    for (const number of numbers)
      for (const byte of [1, 2, 3]) {
        const image = path.join(this.bench.folder, "vm", `disk${number}`);
        const read = () =>
          run("qemu-io", ["-f", this.format, "-r", "-c", `read -P ${byte} ${byte}M 64k`, image]).then(
            (said) => said,
            () => undefined, // QEMU has it open until it has ended
          );
        assert.doesNotMatch(await until(10, read, () => `${image} cannot be read.`), /verification failed/);
      }
  }
}

describe("a switch of a real QEMU's disks by the worker", function () {
  withWorkers(this);
  this.timeout(120_000);

  for (const format of ["raw", "qcow2"] as const) {
    it(`loses no write: ${format}`, async () => {
      const real = await RealBench.start(format);
      const worker = await localWorker();
      const monitor = await openMonitor(worker, { path: real.bench.fake.path }, silent);
      const { end, why } = await runSwitch(worker, { monitor, plan: await real.plan(worker), locks: [] });
      assert.deepEqual([end, why], ["switched", null]);
      await monitor.close();
      assert.deepEqual(await namesOf(real.bench as SwitchBench), after);
      await real.holdsAll(worker);
    });

    for (const { call, at, side, names } of [
      { call: "renameat", at: 3, side: "before", names: before },
      { call: "renameat2", at: 1, side: "after", names: after },
    ]) {
      it(`loses no write where child and worker are killed ${side} the commit point, and the next one goes on: ${format}`, async () => {
        const real = await RealBench.start(format);
        const next = await localWorker();
        const plan = await real.plan(next);
        const kills = ["-e", `inject=${call}:signal=KILL:when=${at}`, "-e", "inject=socketpair:signal=KILL:when=2"];
        const through = ["strace", "-f", "-o", "/dev/null", "-e", `trace=${call},socketpair`, ...kills];
        const { worker } = await localWorkerProcess({ through });
        const monitor = await openMonitor(worker, { path: real.bench.fake.path }, silent);
        await assert.rejects(runSwitch(worker, { monitor, plan, locks: [] }));
        const { end } = await recoverSwitch(next, { plan, peer: real.peer, locks: [] });
        assert.equal(end, side === "after" ? "switched" : "cancelled");
        assert.deepEqual(await namesOf(real.bench as SwitchBench), names);
        await real.holdsAll(next);
      });
    }
  }
});
