/** A real QEMU whose disks are written without end, with mirrors that are ready: everything right before a switch. */

import { spawn } from "node:child_process";
import { copyFileSync, existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import path from "node:path";
import type { MonitorPeer } from "../../provider/host/worker/monitors.js";
import type { SwitchPlan } from "../../provider/host/worker/switching.js";
import type { Worker } from "../../provider/host/worker/worker.js";
import { layOut, planOf, type Shape } from "../host/worker/switch-bench.js";
import { run, until } from "../sandbox/command.js";
import { inMemory, makeFolder } from "../sandbox/folders.js";
import { mourn, watchOver } from "../sandbox/processes.js";
import { DiskWriter, lostRecords, Qtest } from "./disk-writer.js";

export type Format = "raw" | "qcow2";

export interface SceneOptions extends Shape {
  format: Format;
}

/** The tests' own monitor of the QEMU, beside the worker's. */
class Operator {
  #partial = "";
  readonly #answers: ((message: Record<string, unknown>) => void)[] = [];

  static async open(file: string): Promise<Operator> {
    const socket = await until(
      20,
      () => dial(file),
      () => "QEMU did not begin.",
    );
    const operator = new Operator(socket);
    await operator.ask("qmp_capabilities");
    return operator;
  }

  private constructor(private readonly socket: Socket) {
    socket.on("error", () => {});
    socket.on("close", () => {
      for (const answer of this.#answers.splice(0)) answer({ error: { desc: "QEMU has ended" } });
    });
    socket.on("data", (piece) => {
      const lines = (this.#partial + piece.toString()).split("\n");
      this.#partial = lines.pop() ?? "";
      for (const line of lines) {
        const message = JSON.parse(line);
        if (!("QMP" in message || "event" in message)) this.#answers.shift()?.(message);
      }
    });
  }

  async ask<T = unknown>(execute: string, args: object = {}): Promise<T> {
    const message = await new Promise<Record<string, unknown>>((resolve) => {
      this.#answers.push(resolve);
      this.socket.write(`${JSON.stringify({ execute, arguments: args })}\n`);
    });
    if (message.error) throw new Error(`${execute}: ${JSON.stringify(message.error)}`);
    return message.return as T;
  }

  close(): void {
    this.socket.destroy();
  }
}

function dial(file: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(file, () => resolve(socket)).once("error", () => resolve(undefined));
  });
}

export interface JobState {
  id: string;
  status: string;
}

export class Scene {
  readonly #undo: (() => unknown)[] = [];
  operator!: Operator;
  writers: DiskWriter[] = [];
  #qemu!: ReturnType<typeof spawn>;

  private constructor(
    readonly options: SceneOptions,
    readonly folder: string,
  ) {}

  static async open(options: SceneOptions): Promise<Scene> {
    const folder = await makeFolder("livedisk-cuts-", inMemory);
    const scene = new Scene(options, folder.path);
    scene.#undo.push(folder.remove);
    try {
      await layOut(scene.folder, options);
      await scene.#start();
      await scene.#mirror();
    } catch (thrown) {
      await scene.close();
      throw thrown;
    }
    return scene;
  }

  get numbers(): number[] {
    return Array.from({ length: this.options.disks }, (_, number) => number);
  }

  get socket(): string {
    return path.join(this.folder, "qmp.sock");
  }

  async plan(worker: Worker): Promise<SwitchPlan> {
    const plan = await planOf(worker, { folder: this.folder, fake: { path: this.socket } }, this.options);
    return { ...plan, disks: plan.disks.map((disk, number) => ({ ...disk, device: `disk${number}` })), pendingSeconds: 20 };
  }

  /** QEMU 7.2 aborts where an emulated IDE drive begins to write while its raw image is switched: `child->perm & BLK_PERM_WRITE`. */
  async holdWritersOfRaw(): Promise<void> {
    if (this.options.format === "raw") await Promise.all(this.writers.map((writer) => writer.stop()));
  }

  /** Each writes once more. */
  async writeOn(): Promise<void> {
    for (const writer of this.writers) writer.go();
    await Promise.all(this.writers.map((writer) => writer.more(3)));
  }

  async kill(): Promise<void> {
    await mourn(this.#qemu, "SIGKILL");
  }

  get peer(): MonitorPeer {
    return this.#peer;
  }

  #peer!: MonitorPeer;

  /** The worker's monitor tells who QEMU is. */
  rememberPeer(peer: MonitorPeer): void {
    this.#peer = peer;
  }

  get isAlive(): boolean {
    return this.#qemu.exitCode === null && this.#qemu.signalCode === null;
  }

  /** Acknowledged records that this side's images do not have, by disk. QEMU has ended. */
  async lost(side: "src" | "dst"): Promise<string[]> {
    const said: string[] = [];
    for (const number of this.numbers) {
      const content = path.join(this.folder, `content${number}`);
      await run("qemu-img", ["convert", "-f", this.options.format, "-O", "raw", this.image(side, number), content]);
      const acknowledged = this.writers[number]?.acknowledged ?? 0;
      const lost = lostRecords(await readFile(content), number, acknowledged);
      if (lost.length > 0) said.push(`disk ${number} lacks ${lost.length} of ${acknowledged} records, the first is ${lost[0]}`);
    }
    return said;
  }

  /** Under whichever of its names. */
  image(side: "src" | "dst", number: number): string {
    const name = path.join(this.folder, side, `disk${number}`);
    return existsSync(name) ? name : `${name}.former`;
  }

  async close(): Promise<void> {
    for (let act = this.#undo.pop(); act !== undefined; act = this.#undo.pop()) await act();
  }

  async #start(): Promise<void> {
    const { folder, options } = this;
    const through = options.decides === "link" ? "vm" : "src";
    for (const side of ["src", "dst"])
      for (const number of this.numbers) copyFileSync(await emptyImage(options.format), path.join(folder, side, `disk${number}`));
    const disks = this.numbers.flatMap((number) => [
      "-blockdev",
      JSON.stringify({
        driver: options.format,
        "node-name": `source${number}`,
        file: { driver: "file", filename: `${folder}/${through}/disk${number}` },
      }),
      "-device",
      `ide-hd,drive=source${number},bus=ide.${number},unit=0,id=disk${number}`,
    ]);
    const servers = ["qmp", "operator"].flatMap((name) => ["-qmp", `unix:${folder}/${name}.sock,server=on,wait=off`]);
    const machine = ["-M", "pc,accel=tcg", "-m", "16", "-S", "-display", "none", "-nodefaults", "-qtest-log", "none"];
    const qtest = ["-qtest", `unix:${folder}/qtest.sock,server=on,wait=off`];
    this.#qemu = watchOver(spawn("qemu-system-x86_64", [...machine, ...servers, ...qtest, ...disks], { stdio: "ignore" }), "a QEMU");
    this.#undo.push(() => mourn(this.#qemu, "SIGKILL"));
    this.operator = await Operator.open(path.join(folder, "operator.sock"));
    const bus = await Qtest.open(path.join(folder, "qtest.sock"));
    this.#undo.push(
      () => this.operator.close(),
      () => bus.close(),
    );
    this.writers = this.numbers.map((number) => new DiskWriter(bus, number));
  }

  async #mirror(): Promise<void> {
    const { operator, options, folder } = this;
    await Promise.all(this.writers.map((writer) => writer.more(3)));
    for (const number of this.numbers) {
      const file = { driver: "file", filename: `${folder}/dst/disk${number}` };
      await operator.ask("blockdev-add", { driver: options.format, "node-name": `target${number}`, file });
      await operator.ask("blockdev-mirror", {
        "job-id": `job${number}`,
        device: `source${number}`,
        target: `target${number}`,
        sync: "full",
        "copy-mode": "write-blocking",
        "auto-finalize": false,
        "auto-dismiss": false,
      });
    }
    const ready = async () => ((await this.jobs()).every(({ status }) => status === "ready") ? "yes" : undefined);
    await until(20, ready, () => "The mirrors are not ready.");
    await Promise.all(this.writers.map((writer) => writer.more(3)));
  }

  jobs(): Promise<JobState[]> {
    return this.operator.ask<JobState[]>("query-jobs");
  }

  /** Of each disk: the node that its device has. */
  async active(): Promise<string[]> {
    const blocks = await this.operator.ask<{ qdev?: string; inserted?: { "node-name"?: string } }[]>("query-block");
    return this.numbers.map((number) => blocks.find(({ qdev }) => qdev === `disk${number}`)?.inserted?.["node-name"] ?? "nothing");
  }
}

const templates = new Map<Format, Promise<string>>();

/** Of a disk of 4 MiB; a copy is quicker than qemu-img. */
function emptyImage(format: Format): Promise<string> {
  const made = templates.get(format) ?? makeTemplate(format);
  templates.set(format, made);
  return made;
}

async function makeTemplate(format: Format): Promise<string> {
  const folder = await makeFolder("livedisk-cuts-", inMemory);
  const file = path.join(folder.path, format);
  await run("qemu-img", ["create", "-q", "-f", format, file, "4M"]);
  return file;
}
