/** A real QEMU with a real Linux guest that writes records without pause, and says which of them are safe. */

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, fstatSync, openSync } from "node:fs";
import { copyFile, mkdir, readdir, readFile, readlink } from "node:fs/promises";
import path from "node:path";
import { until } from "./command.js";
import { diskArguments, type OtherImages } from "./command-line.js";
import { type Disk, makeImages, planDisks } from "./disks.js";
import type { GuestOptions } from "./guest-options.js";
import { guestInitramfs, kernelArguments, toldArguments } from "./initramfs.js";
import { guestKernel } from "./kernel.js";
import { machineArguments } from "./machine.js";
import { mourn, watchOver } from "./processes.js";
import { qemuCommand } from "./qemu.js";
import { HeldRam, isRestorable, saysUnloadable, tell } from "./saved-guest.js";
import { SerialLog } from "./serial.js";

export type { GuestOptions };

/** A disk of a running or stopped guest, with what a check of its images must know. */
export interface GuestDisk extends Disk {
  /** Numbers that the guest called safe, over all boots, in the order in which it did. */
  acknowledged(): readonly number[];
}

export async function startGuest(options: GuestOptions): Promise<Guest> {
  const { folder } = options;
  for (const part of ["", "path1", "path2"]) await mkdir(path.join(folder, part), { recursive: true });
  const disks = planDisks(options.disks ?? [{ storage: path.join(folder, "path1") }]);
  for (const disk of disks) await makeImages(disk);
  await copyFile((await guestKernel()).image, path.join(folder, "vmlinux"));
  await copyFile((await guestInitramfs()).file, path.join(folder, "initramfs"));
  const guest = new Guest(options, disks);
  await guest.boot();
  return guest;
}

export class Guest implements AsyncDisposable {
  readonly disks: readonly GuestDisk[];
  /** The one that is given to the provider. */
  readonly qmpSocket: string;
  /** A second monitor, for whoever plays an operator by hand. */
  readonly operatorSocket: string;
  readonly #serial: SerialLog;
  #child: ChildProcess | undefined;

  constructor(
    private readonly options: GuestOptions,
    disks: readonly Disk[],
  ) {
    this.#serial = new SerialLog(path.join(options.folder, "serial.log"));
    this.disks = disks.map((disk) => ({ ...disk, acknowledged: () => this.#records(disk.guestName).map((record) => record.sequence) }));
    this.qmpSocket = path.join(options.folder, "qmp.sock");
    this.operatorSocket = path.join(options.folder, "operator.sock");
  }

  /** @throws Error if it does not run */
  get pid(): number {
    if (this.#child?.pid === undefined || this.state() !== "running") throw new Error(`The guest in ${this.options.folder} does not run.`);
    return this.#child.pid;
  }

  state(): "running" | "stopped" {
    return this.#child?.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null ? "running" : "stopped";
  }

  disk(id = "vda"): GuestDisk {
    const disk = this.disks.find((candidate) => candidate.id === id);
    if (disk === undefined) throw new Error(`The guest has no disk ${id}.`);
    return disk;
  }

  /** The highest number that the guest called safe; 0 before the first. */
  acknowledged(id = "vda"): number {
    return this.#records(this.disk(id).guestName).at(-1)?.sequence ?? 0;
  }

  /** How long each record of the disk took, in the guest's own time, among those after number `after`. */
  writesMs(id = "vda", after = 0): number[] {
    const later = this.#records(this.disk(id).guestName).filter((record) => record.sequence > after);
    return later.map((record) => record.durationMs);
  }

  /** The longest of them. */
  longestWriteMs(id = "vda", after = 0): number {
    return Math.max(0, ...this.writesMs(id, after));
  }

  /** Waits until every disk that the guest writes to has so many more safe records than now. */
  async waitForRecords(more: number, deadlineSeconds = 60): Promise<void> {
    const goals = this.#written().map((disk) => ({ disk, goal: disk.acknowledged().length + more }));
    const reached = () => {
      this.#mustRun();
      return goals.every(({ disk, goal }) => disk.acknowledged().length >= goal) ? true : undefined;
    };
    const late = () => `The guest did not write ${more} more records to every disk within ${deadlineSeconds} s. ${this.#lastWords()}`;
    await until(deadlineSeconds, reached, late);
  }

  /**
   * Starts QEMU by the same command line as before; numbers go on. With `others`, a disk's active image is another file.
   * @throws Error with QEMU's words if the guest does not come up and write to every disk
   */
  async boot(others: OtherImages = {}): Promise<void> {
    if (this.state() === "running") throw new Error("The guest runs already.");
    for (const turn of ["first", "last"] as const) {
      const layout = { ...this.options, disks: this.disks };
      await using ram = isRestorable(layout) ? await HeldRam.of(layout) : undefined;
      const failure = await this.#start(others, ram);
      if (failure === undefined) return;
      if (ram === undefined || !saysUnloadable(failure.message) || turn === "last") throw failure;
      console.warn(`The RAM of a test guest that was saved in ${ram.file} does not load, and is made again. ${failure.message}`);
      await ram.forget();
    }
  }

  /** As a power cut: SIGKILL, and wait until the process is gone. */
  async kill(): Promise<void> {
    await mourn(this.#child, "SIGKILL");
  }

  /** Lets QEMU flush and close its images. */
  async stop(): Promise<void> {
    await mourn(this.#child, "SIGTERM");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Regular files that QEMU has open, as the kernel knows them: by another road than the monitor. */
  async openFiles(): Promise<string[]> {
    const folder = `/proc/${this.pid}/fd`;
    const links = await Promise.all((await readdir(folder)).map((fd) => readlink(path.join(folder, fd)).catch(() => "")));
    return [...new Set(links.filter((link) => link.startsWith("/") && !link.startsWith("/dev/")))].sort();
  }

  #records(guestName: string) {
    return this.#serial.acknowledged(guestName);
  }

  #written(): GuestDisk[] {
    return this.disks.filter((disk) => disk.writes === "records");
  }

  #mustRun(): void {
    if (this.state() === "stopped") throw new Error(`QEMU has ended. ${this.#lastWords()}`);
  }

  #isReady(mark: number): true | undefined {
    this.#mustRun();
    const text = this.#serial.textSince(mark);
    if (text.includes("NODISK")) throw new Error(`The guest does not see its disks. ${this.#lastWords()}`);
    return text.includes("READY") ? true : undefined;
  }

  #lastWords(): string {
    return `The guest's last words: ${JSON.stringify(this.#serial.textSince(0).slice(-500))}`;
  }

  /** @returns why the guest did not come up, with QEMU's words; it has ended then */
  async #start(others: OtherImages, ram: HeldRam | undefined): Promise<Error | undefined> {
    const mark = this.#serial.mark();
    const log = path.join(this.options.folder, "qemu.log");
    const said = openSync(log, "a");
    const before = fstatSync(said).size;
    const [program = "", ...more] = this.options.command ?? qemuCommand();
    const args = [...more, ...this.#arguments(others, ram)];
    this.#child = watchOver(spawn(program, args, { stdio: [ram === undefined ? "ignore" : "pipe", said, said] }), "qemu");
    closeSync(said);
    try {
      if (ram !== undefined) await tell(this.#child, this.operatorSocket, toldArguments(this.#told()));
      const late = () => `The guest did not come up within 90 s. ${this.#lastWords()}`;
      await until(90, () => this.#isReady(mark), late);
      await this.waitForRecords(1);
      return undefined;
    } catch (reason) {
      // it runs and is silent: what it was restored from may be why
      if (ram !== undefined && this.state() === "running" && this.#serial.mark() === mark) await ram.forget();
      await this.kill();
      const words = (await readFile(log)).subarray(before).toString().slice(-1500);
      return new Error(`${reason instanceof Error ? reason.message : reason} QEMU said: ${words}`, { cause: reason });
    }
  }

  #told() {
    const first = 1 + Math.max(0, ...this.#written().map((disk) => this.acknowledged(disk.id)));
    return { disks: this.#written().map(({ guestName }) => guestName), first, pauseMs: this.options.pauseMs };
  }

  #arguments(others: OtherImages, ram: HeldRam | undefined): string[] {
    const { folder, style = "blockdev", emptyDrive, uuid, extraArguments = [] } = this.options;
    const files = { folder, kernel: path.join(folder, "vmlinux"), initramfs: path.join(folder, "initramfs") };
    // a restored guest that is reset boots by the same command line as any other
    const machine = { ...files, append: kernelArguments(this.#told()), emptyDrive, disks: diskArguments(this.disks, style, others) };
    const restored = ram?.arguments ?? [];
    return [...machineArguments(machine), ...(uuid === undefined ? [] : ["-uuid", uuid]), ...restored, ...extraArguments];
  }
}
