/** A real QEMU with a real Linux guest that writes records without pause, and says which of them are safe. */

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { copyFile, mkdir, readdir, readFile, readlink } from "node:fs/promises";
import path from "node:path";
import { until } from "./command.js";
import { diskArguments, type OtherImages, type Style } from "./command-line.js";
import { type Disk, type DiskOptions, makeImages, planDisks } from "./disks.js";
import { kernelArguments, writeInitramfs } from "./initramfs.js";
import { guestKernel } from "./kernel.js";
import { mourn, watchOver } from "./processes.js";
import { qemuCommand } from "./qemu.js";
import { SerialLog } from "./serial.js";

export interface GuestOptions {
  /** Holds sockets, logs, kernel and, unless a disk says otherwise, `path1` with its images and an empty `path2`. */
  folder: string;
  /** Default: one disk of two layers in `<folder>/path1`. */
  disks?: readonly DiskOptions[];
  /** @default "blockdev" */
  style?: Style;
  uuid?: string;
  /** The id of a CD drive with nothing in it. */
  emptyDrive?: string;
  /** More of the command line, for what has no name here. */
  extraArguments?: readonly string[];
  /** Default: the QEMU that was chosen for this run (qemu.ts). Another one must see `folder` under the same path. */
  command?: readonly string[];
  /** What the guest rests between two records. @default 40 */
  pauseMs?: number;
}

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
  await writeInitramfs(path.join(folder, "initramfs"));
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
    const mark = this.#serial.mark();
    const log = openSync(path.join(this.options.folder, "qemu.log"), "a");
    const [program = "", ...before] = this.options.command ?? qemuCommand();
    const args = [...before, ...this.#arguments(others)];
    this.#child = watchOver(spawn(program, args, { stdio: ["ignore", log, log] }), "qemu");
    closeSync(log);
    try {
      await until(
        90,
        () => this.#isReady(mark),
        () => `The guest did not come up within 90 s. ${this.#lastWords()}`,
      );
      await this.waitForRecords(1);
    } catch (reason) {
      await this.kill();
      const said = await readFile(path.join(this.options.folder, "qemu.log"), "utf8");
      throw new Error(`${reason instanceof Error ? reason.message : reason} QEMU said: ${said.slice(-1500)}`, { cause: reason });
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

  #arguments(others: OtherImages): string[] {
    const { folder, style = "blockdev", pauseMs } = this.options;
    const inFolder = (name: string) => path.join(folder, name).replaceAll(",", ",,");
    const first = 1 + Math.max(0, ...this.#written().map((disk) => this.acknowledged(disk.id)));
    const append = kernelArguments({ disks: this.#written().map(({ guestName }) => guestName), first, pauseMs });
    return [
      ...["-M", "q35,accel=tcg", "-m", "256", "-nodefaults", "-display", "none", "-no-reboot"],
      ...["-kernel", path.join(folder, "vmlinux"), "-initrd", path.join(folder, "initramfs"), "-append", append],
      ...["-chardev", `file,id=serial0,path=${inFolder("serial.log")},append=on`, "-serial", "chardev:serial0"],
      ...["-qmp", `unix:${inFolder("qmp.sock")},server=on,wait=off`, "-qmp", `unix:${inFolder("operator.sock")},server=on,wait=off`],
      ...(this.options.uuid === undefined ? [] : ["-uuid", this.options.uuid]),
      ...diskArguments(this.disks, style, others),
      ...(this.options.emptyDrive === undefined ? [] : ["-device", `ide-cd,id=${this.options.emptyDrive}`]),
      ...(this.options.extraArguments ?? []),
    ];
  }
}
