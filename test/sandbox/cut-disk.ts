/**
 * File systems whose disks can be looked at as a power cut leaves them: what was never synced is not there. Each is an ext4 on a loop device that commits by
 * itself only after ten minutes, and the file behind that device lies on another ext4, which is frozen while the file is copied: so the copy is of one moment.
 * Wants root.
 */

import { mkdir, readFile } from "node:fs/promises";
import path from "node:path";
import { run } from "./command.js";
import type { Sandbox } from "./sandbox.js";

/** What is not synced stays in memory for ten minutes. */
const ownCommits = ["commit=600"];

export class CutDisk {
  #cuts = 0;
  #turn = 0;

  private constructor(
    private readonly sandbox: Pick<Sandbox, "defer">,
    readonly place: string,
  ) {}

  /** Over the directory, which is made. Undone with the sandbox. */
  static async mount(sandbox: Pick<Sandbox, "defer">, place: string, sizeMiB: number): Promise<CutDisk> {
    const disk = new CutDisk(sandbox, place);
    await mkdir(place, { recursive: true });
    await disk.#make(disk.#outerImage, disk.#outer, sizeMiB + 64);
    await disk.#make(disk.#image, place, sizeMiB, ownCommits);
    return disk;
  }

  /** As on a host that has run for long: all that is there lasts. */
  async settle(): Promise<void> {
    await run("sync", ["--file-system", this.place]);
  }

  /** The text of a file of it, had the power been cut now. */
  async lasting(file: string): Promise<string> {
    const [image = ""] = await CutDisk.cut([this]);
    const place = `${image}.mounted`;
    await this.#mount(image, place);
    const text = await readFile(path.join(place, file), "utf8");
    await run("umount", [place]);
    return text;
  }

  /**
   * What is on the disks, all at one moment.
   * @param meanwhile while nothing more gets onto the disks: what is killed then has told nobody of a later write
   * @returns images of them, for {@link replace}
   */
  static async cut(disks: readonly CutDisk[], meanwhile: () => Promise<unknown> = async () => {}): Promise<string[]> {
    const frozen: CutDisk[] = [];
    try {
      for (const disk of disks) {
        await run("fsfreeze", ["--freeze", disk.#outer]);
        frozen.push(disk);
      }
      const copies = disks.map((disk) => `${disk.place}.cut-${++disk.#cuts}`);
      await Promise.all(disks.map((disk, index) => run("cp", ["--sparse=always", disk.#image, copies[index] ?? ""])));
      await meanwhile();
      return copies;
    } finally {
      for (const disk of frozen) await run("fsfreeze", ["--unfreeze", disk.#outer]);
    }
  }

  /** In its place what a cut has left. Whoever has a file open there keeps the old one. */
  async replace(image: string): Promise<void> {
    await run("umount", ["--lazy", this.place]);
    this.#turn++;
    await run("cp", ["--sparse=always", image, this.#image]);
    await this.#mount(this.#image, this.place, ownCommits);
  }

  get #outer(): string {
    return `${this.place}.outer`;
  }

  get #outerImage(): string {
    return `${this.place}.outer.img`;
  }

  get #image(): string {
    return path.join(this.#outer, `disk-${this.#turn}.img`);
  }

  async #make(image: string, place: string, sizeMiB: number, options: readonly string[] = []): Promise<void> {
    await run("truncate", ["-s", `${sizeMiB}M`, image]);
    await run("mkfs.ext4", ["-q", "-F", "-m", "0", image]);
    await this.#mount(image, place, options);
  }

  async #mount(image: string, place: string, options: readonly string[] = []): Promise<void> {
    await mkdir(place, { recursive: true });
    await run("mount", ["-o", ["loop", ...options].join(","), image, place]);
    this.sandbox.defer(() => run("umount", ["--lazy", place]).catch(() => undefined));
  }
}
