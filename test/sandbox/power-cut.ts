/** File systems of which the power can be cut: what has come to their disks is kept as it is at one moment, and mounted again later. Wants root. */

import { mkdir, rm, symlink } from "node:fs/promises";
import path from "node:path";
import { run } from "./command.js";
import { type MountOptions, makeFileSystem, mountSmall, unmountAll } from "./file-systems.js";
import type { Sandbox } from "./sandbox.js";

export interface CutOptions extends MountOptions {
  place: string;
  kind: "ext4" | "xfs";
}

/** As udev names the devices that are mounted: by it a file system is the same one after a reboot. */
const byUuid = "/dev/disk/by-uuid";

/** File systems with a loop device each, whose backing files lie in a btrfs: a copy there takes no time, and is of one moment. */
export class CutStorage {
  #moments = 0;
  #turns = 0;

  private constructor(
    private readonly vault: string,
    private readonly all: readonly CutOptions[],
  ) {}

  /** Over existing directories. @param vault a directory that is made */
  static async mount(sandbox: Pick<Sandbox, "defer">, vault: string, all: readonly CutOptions[]): Promise<CutStorage> {
    await mountSmall(sandbox, vault, { kind: "btrfs", sizeMiB: 1500 });
    const storage = new CutStorage(vault, all);
    sandbox.defer(() => unmountAll(...all.map(({ place }) => place)));
    for (const [index, { kind, sizeMiB, place }] of all.entries()) {
      await run("truncate", ["-s", `${sizeMiB}M`, storage.#disk(index)]);
      await makeFileSystem(kind, storage.#disk(index));
      const name = path.join(byUuid, await uuidOf(storage.#disk(index)));
      sandbox.defer(() => rm(name, { force: true }));
      await storage.#mount(index, kind, place);
    }
    return storage;
  }

  /**
   * What a power cut would leave of all of them now. Whoever syncs or writes to several must be stopped meanwhile: then the moments of the copies
   * are one. What the kernel writes by itself in between, a power cut may find written, too.
   * @returns the number of the moment
   */
  async keep(): Promise<number> {
    const moment = this.#moments++;
    await Promise.all(this.all.map((_, index) => clone(this.#disk(index), this.#kept(moment, index))));
    return moment;
  }

  /** All of them as they were at that moment. @throws Error while anybody has a file open there */
  async cutTo(moment: number): Promise<void> {
    for (const { place } of this.all) await run("umount", [place]);
    this.#turns++;
    for (const [index, { kind, place }] of this.all.entries()) {
      await clone(this.#kept(moment, index), this.#disk(index));
      await this.#mount(index, kind, place);
    }
  }

  /** A file of its own each time: a mount namespace that somebody has made meanwhile may keep the former one mounted. */
  #disk(index: number): string {
    return path.join(this.vault, `disk-${index}.${this.#turns}`);
  }

  #kept(moment: number, index: number): string {
    return path.join(this.vault, `kept-${moment}-${index}`);
  }

  async #mount(index: number, kind: "ext4" | "xfs", place: string): Promise<void> {
    await run("mount", ["-o", kind === "xfs" ? "loop,nouuid" : "loop", this.#disk(index), place]);
    const device = (await run("findmnt", ["--noheadings", "--output", "SOURCE", "--mountpoint", place])).trim();
    const name = path.join(byUuid, await uuidOf(this.#disk(index)));
    await mkdir(byUuid, { recursive: true });
    await rm(name, { force: true });
    await symlink(device, name);
  }
}

async function uuidOf(file: string): Promise<string> {
  return (await run("blkid", ["--probe", "--match-tag", "UUID", "--output", "value", file])).trim();
}

function clone(from: string, to: string): Promise<string> {
  return run("cp", ["--reflink=always", from, to]);
}
