/**
 * The RAM of test guests that have booted and do not know their disks yet, kept in `.cache/guests`. Guests are restored from it instead of
 * booting: a sixth of the processor's time under TCG. All that decides its content is in its name; a guest that is not known to be
 * restorable boots.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { closeSync, existsSync, openSync } from "node:fs";
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, stat, utimes } from "node:fs/promises";
import path from "node:path";
import { run, until } from "./command.js";
import { hollowDiskArguments } from "./command-line.js";
import type { Disk } from "./disks.js";
import { makeFolder } from "./folders.js";
import type { GuestOptions } from "./guest-options.js";
import { askingArguments, guestFolder, guestInitramfs } from "./initramfs.js";
import { guestKernel } from "./kernel.js";
import { machineArguments, secondSerial } from "./machine.js";
import { Operator } from "./operator.js";
import { mourn, watchOver } from "./processes.js";
import { qemuCommand } from "./qemu.js";
import { SerialLog } from "./serial.js";

const keptMs = 14 * 24 * 3600 * 1000;

/** What decides whether a guest can be restored, and from what. */
export interface Layout extends Pick<GuestOptions, "emptyDrive" | "command" | "extraArguments"> {
  disks: readonly Disk[];
}

/**
 * Whether a guest can be restored. Ids, nodes, formats, sizes, caches, filters, iothreads, serial numbers and the uuid do not matter: a device
 * is known by its place on its bus (qdev_get_dev_path, 7.2), and the guest has not yet asked it anything. An nvme device does not migrate
 * (nvme_vmstate, 7.2).
 */
export function isRestorable({ disks, command, extraArguments = [] }: Layout): boolean {
  if (command !== undefined || extraArguments.length > 0) return false;
  return disks.every(({ bus, options }) => (bus === "virtio-blk" || bus === "virtio-scsi") && (options.deviceOptions ?? []).length === 0);
}

/** The file with the RAM for a guest of this layout, made when this is the first time. For a layout that {@link isRestorable}. */
export async function savedRam(layout: Layout): Promise<string> {
  const file = path.join(guestFolder, await keyOf(layout));
  const isThere = await utimes(file, new Date(), new Date()).then(
    () => true,
    () => false, // if it is there all the same, it is replaced
  );
  if (!isThere) await save(layout, file);
  return file;
}

/** A guest's RAM that stays readable for as long as it is held, also when another worker removes or replaces the file. */
export class HeldRam implements AsyncDisposable {
  private constructor(
    readonly file: string,
    private readonly handle: FileHandle,
  ) {}

  /** {@link savedRam}'s, opened. */
  static async of(layout: Layout): Promise<HeldRam> {
    const held = async () => {
      const file = await savedRam(layout);
      const handle = await open(file).catch((cause) => {
        if (cause.code === "ENOENT") return undefined; // removed since: it is made again
        throw cause;
      });
      return handle && new HeldRam(file, handle);
    };
    return until(90, held, () => "The RAM of a test guest is removed as often as it is saved.");
  }

  /** For the command line. Not `file:`, which 7.2 does not know. */
  get arguments(): string[] {
    return [...secondSerial("stdio"), "-incoming", `exec:cat /proc/${process.pid}/fd/${this.handle.fd}`];
  }

  /** What cannot be loaded is made again by the next guest. */
  forget(): Promise<void> {
    return rm(this.file, { force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.handle.close();
  }
}

/**
 * Answers a restored guest, as soon as it runs: what arrives before is lost, as the serial line's state is loaded over it.
 * @throws Error if QEMU ends, or does not let the guest run
 */
export async function tell(child: ChildProcess, monitor: string, answer: string): Promise<void> {
  const connect = () => {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error("QEMU has ended.");
    return Operator.connect(monitor).catch(() => undefined);
  };
  await using operator = await until(60, connect, () => "QEMU does not listen on its monitor.");
  const runs = async () => {
    const { status } = (await operator.execute("query-status")) as { status: string };
    // "paused": it could not open its images for writing (process_incoming_migration_bh, 7.2)
    if (status !== "running" && status !== "inmigrate") throw new Error(`The restored guest is ${status}.`);
    return status === "running" || undefined;
  };
  await until(60, runs, () => "The guest is not restored after 60 s.");
  child.stdin?.on("error", () => undefined); // QEMU has ended: the wait for READY tells
  child.stdin?.end(`${answer}\n`);
}

/** Whether these words of QEMU's say that the RAM cannot be loaded (process_incoming_migration_co, 7.2 and 10). */
export function saysUnloadable(words: string): boolean {
  return words.includes("load of migration failed");
}

async function keyOf(layout: Layout): Promise<string> {
  constants ??= Promise.all([versionOf(qemuCommand()), guestKernel().then(({ image }) => hashOf(image)), guestInitramfs()]);
  const [version, kernel, initramfs] = await constants;
  const decides = [version, kernel, initramfs.hash, hollowArguments(layout, { folder: "", kernel: "", initramfs: "" })];
  return createHash("sha256").update(JSON.stringify(decides)).digest("hex").slice(0, 32);
}

let constants: Promise<[string, string, { hash: string }]> | undefined;

/** With the distribution's own number, which changes with its patches. */
function versionOf([program = "", ...args]: readonly string[]): Promise<string> {
  return run(program, [...args, "--version"]);
}

async function hashOf(file: string): Promise<string> {
  return createHash("sha256")
    .update(await readFile(file))
    .digest("hex");
}

/** Of the guest whose RAM is saved. */
function hollowArguments({ disks, emptyDrive }: Layout, place: { folder: string; kernel: string; initramfs: string }): string[] {
  const machine = machineArguments({ ...place, append: askingArguments, emptyDrive, disks: hollowDiskArguments(disks) });
  return [...machine, ...secondSerial("null")];
}

async function save(layout: Layout, file: string): Promise<void> {
  await mkdir(guestFolder, { recursive: true });
  await forgetUnused();
  const workshop = await makeFolder("livedisk-save-");
  const partial = `${file}.${randomUUID()}`;
  try {
    await saveInto(partial, layout, workshop.path);
    await rename(partial, file); // of two workers at once, the second replaces its like
  } catch (cause) {
    const said = await readFile(path.join(workshop.path, "qemu.log"), "utf8").catch(() => "nothing");
    throw new Error(`Unable to save the RAM of a test guest: ${cause instanceof Error ? cause.message : cause} QEMU said: ${said}`, {
      cause,
    });
  } finally {
    await rm(partial, { force: true });
    await workshop.remove();
  }
}

async function saveInto(partial: string, layout: Layout, workshop: string): Promise<void> {
  const place = { folder: workshop, kernel: (await guestKernel()).image, initramfs: (await guestInitramfs()).file };
  const log = openSync(path.join(workshop, "qemu.log"), "a");
  const [program = "", ...before] = qemuCommand();
  const child = watchOver(spawn(program, [...before, ...hollowArguments(layout, place)], { stdio: ["ignore", log, log] }), "qemu");
  closeSync(log);
  try {
    const serial = new SerialLog(path.join(workshop, "serial.log"));
    const asks = () => {
      if (child.exitCode !== null) throw new Error("QEMU has ended.");
      return serial.textSince(0).includes("ASK") || undefined;
    };
    await until(90, asks, () => `The guest does not ask for its disks: ${serial.textSince(0).slice(-500)}`);
    await using operator = await Operator.connect(path.join(workshop, "operator.sock"));
    await mustBeUnread(operator, layout.disks.length);
    await migrate(operator, partial);
  } finally {
    await mourn(child, "SIGKILL");
  }
}

async function migrate(operator: Operator, to: string): Promise<void> {
  await operator.execute("migrate-set-parameters", { "max-bandwidth": 10 * 2 ** 30 });
  // QEMU calls it completed before cat has written it all
  const whole = `${to}.whole`;
  await operator.execute("migrate", { uri: `exec:cat >${quoted(to)} && mv ${quoted(to)} ${quoted(whole)}` });
  const isSaved = async () => {
    const { status } = (await operator.execute("query-migrate")) as { status?: string };
    if (status === "failed") throw new Error("The migration into a file failed.");
    return (status === "completed" && existsSync(whole)) || undefined;
  };
  await until(60, isSaved, () => `The guest's RAM is not in ${whole} after 60 s.`);
  await rename(whole, to);
}

interface BlockStats {
  qdev?: string;
  /** Not of a drive with nothing in it, which a kernel asks what it is. */
  "node-name"?: string;
  stats: { rd_operations: number; wr_operations: number };
}

/** What a guest has read of one disk it would take for what another has: nothing is in its RAM, as nothing was read. */
async function mustBeUnread(operator: Operator, disks: number): Promise<void> {
  const all = ((await operator.execute("query-blockstats")) as BlockStats[]).filter((one) => one["node-name"] !== undefined);
  const unread = all.filter(({ stats }) => stats.rd_operations === 0 && stats.wr_operations === 0);
  if (all.length === disks && unread.length === disks) return;
  throw new Error(`Not all of ${disks} disks are unread before the guest is told of them: ${JSON.stringify(all)}`);
}

/** Of older kernels, QEMUs and layouts. */
async function forgetUnused(): Promise<void> {
  for (const name of await readdir(guestFolder)) {
    const file = path.join(guestFolder, name);
    const used = await stat(file).catch(() => undefined); // another worker has renamed it
    if (used !== undefined && Date.now() - used.mtimeMs > keptMs) await rm(file, { force: true });
  }
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
