/** A place for one scenario: an sshd, guests, storage folders. Everything is undone in reverse order. */

import { mkdir, readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { chainOf } from "./check.js";
import { makeFolder } from "./folders.js";
import { type Guest, type GuestOptions, startGuest } from "./guest.js";
import { watchOverPid } from "./processes.js";
import { type Sshd, type SshdOptions, startSshd } from "./sshd.js";

export interface SandboxOptions {
  /** Passed on to the sshd; its folder is the sandbox's choice. */
  sshd?: Omit<SshdOptions, "folder">;
}

/** @param name part of the folder's name: a space in it shows what does not quote */
export async function createSandbox(name = "sandbox", options: SandboxOptions = {}): Promise<Sandbox> {
  const folder = await makeFolder(`livedisk-${name}-`);
  // An sshd_config has no good way to write a space in a path, so the server's own folder never has one.
  const sshdFolder = await makeFolder("livedisk-sshd-");
  const removeFolders = async () => {
    for (const one of [folder, sshdFolder]) await one.remove();
  };
  try {
    return new Sandbox(folder.path, await startSshd({ ...options.sshd, folder: sshdFolder.path }), removeFolders);
  } catch (reason) {
    await removeFolders();
    throw reason;
  }
}

export class Sandbox implements AsyncDisposable {
  readonly guests: Guest[] = [];
  readonly #undo: (() => unknown)[] = [];
  readonly #storages = new Set<string>();

  /** Use {@link createSandbox}. */
  constructor(
    readonly folder: string,
    readonly sshd: Sshd,
    removeFolders: () => Promise<void>,
  ) {
    this.defer(removeFolders);
    this.defer(watchOverPid(sshd.pid, "sshd"));
    this.defer(() => sshd.stop());
  }

  /** The `host` argument of a resource that is to use this sandbox's sshd. */
  get host() {
    const { port, user, identityFile, hostKeyFingerprint } = this.sshd;
    return { address: "127.0.0.1", port, user, identityFile, hostKey: hostKeyFingerprint };
  }

  /** The text of the key by which {@link host} signs in. */
  privateKey(): Promise<string> {
    return readFile(this.sshd.identityFile, "utf8");
  }

  /** A storage folder, made if it is not there; {@link leftovers} looks into it. */
  async storage(name: string): Promise<string> {
    const folder = path.join(this.folder, name);
    await mkdir(folder, { recursive: true });
    this.#storages.add(folder);
    return folder;
  }

  /** Starts a guest in a folder of its own, named `name`, unless its disks say otherwise with images in the storages `<name>/path1`. */
  async startGuest(options: Omit<GuestOptions, "folder"> & { name?: string } = {}): Promise<Guest> {
    const { name = "guest", ...rest } = options;
    for (const storage of ["path1", "path2"]) await this.storage(path.join(name, storage));
    for (const disk of rest.disks ?? []) this.#storages.add(disk.storage);
    const guest = await startGuest({ ...rest, folder: path.join(this.folder, name) });
    this.guests.push(guest);
    this.defer(() => guest.kill());
    return guest;
  }

  /** Called by {@link dispose}, the last one first. */
  defer(undo: () => unknown): void {
    this.#undo.push(undo);
  }

  /**
   * What a finished move should not have left: files in the storages that belong to no guest's chain, processes, mounts; one line each.
   * @param activeImages of guests that do not run; those that run are asked
   */
  async leftovers(activeImages: readonly string[] = []): Promise<string[]> {
    return [...(await this.#strayFiles(activeImages)), ...(await this.#strayProcesses()), ...(await this.#strayMounts())];
  }

  /** Ends and removes everything, also when a part of it fails. @throws AggregateError of what failed */
  async dispose(): Promise<void> {
    const failures: unknown[] = [];
    for (let undo = this.#undo.pop(); undo !== undefined; undo = this.#undo.pop()) {
      try {
        await undo();
      } catch (failure) {
        failures.push(failure);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, `Unable to undo the sandbox: ${failures.join("; ")}`);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  async #strayFiles(activeImages: readonly string[]): Promise<string[]> {
    const known = new Set<string>();
    for (const guest of this.#running()) for (const file of await guest.openFiles()) known.add(file);
    for (const image of activeImages) for (const link of await chainOf(image)) known.add(path.resolve(link.path));
    const found: string[] = [];
    for (const storage of this.#storages) {
      const entries = await readdir(storage, { recursive: true, withFileTypes: true });
      const files = entries.filter((entry) => !entry.isDirectory()).map((entry) => path.join(entry.parentPath, entry.name));
      found.push(...files.filter((file) => !known.has(file)).map((file) => `file ${file}`));
    }
    return found.sort();
  }

  /** Processes below the sshd, or that name the sandbox; the guests and the sshd itself aside. */
  async #strayProcesses(): Promise<string[]> {
    const ours = new Set([this.sshd.pid, ...this.#running().map((guest) => guest.pid)]);
    const all = await processes();
    const isBelowSshd = (pid: number): boolean => {
      const parent = all.get(pid)?.parent;
      return parent === this.sshd.pid || (parent !== undefined && parent > 1 && isBelowSshd(parent));
    };
    return [...all]
      .filter(([pid, { commandLine }]) => !ours.has(pid) && (isBelowSshd(pid) || commandLine.includes(this.folder)))
      .map(([pid, { commandLine }]) => `process ${pid}: ${commandLine}`);
  }

  async #strayMounts(): Promise<string[]> {
    const mounts = (await readFile("/proc/self/mounts", "utf8")).replaceAll("\\040", " ").split("\n");
    return mounts.filter((mount) => mount.includes(this.folder)).map((mount) => `mount ${mount}`);
  }

  #running(): Guest[] {
    return this.guests.filter((guest) => guest.state() === "running");
  }
}

async function processes(): Promise<Map<number, { parent: number; commandLine: string }>> {
  const found = new Map<number, { parent: number; commandLine: string }>();
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const [stat, commandLine] = await Promise.all(
      ["stat", "cmdline"].map((file) => readFile(`/proc/${pid}/${file}`, "utf8").catch(() => "")),
    );
    const parent = /^\d+ \(.*\) [^Z] (\d+) /s.exec(stat ?? "")?.[1];
    if (parent !== undefined)
      found.set(Number(pid), { parent: Number(parent), commandLine: (commandLine ?? "").replaceAll("\0", " ").trim() });
  }
  return found;
}
