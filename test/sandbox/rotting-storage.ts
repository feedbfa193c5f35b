/** A file system of its own, in a file: so that a test can change what lies on the storage below the page cache. */

import { execFileSync } from "node:child_process";
import { closeSync, openSync, writeSync } from "node:fs";
import { mkdir, rm, truncate, writeFile } from "node:fs/promises";
import { run } from "./command.js";

const blockBytes = 4096;

export class RottingStorage implements AsyncDisposable {
  private constructor(
    /** Where it is mounted. */
    readonly path: string,
    private readonly image: string,
  ) {}

  /** Makes an ext4 of so many MiB and mounts it at `path`. Needs root. */
  static async mount(path: string, sizeMiB: number): Promise<RottingStorage> {
    const image = `${path}.ext4`;
    await writeFile(image, "");
    await truncate(image, sizeMiB * 2 ** 20);
    await run("mkfs.ext4", ["-q", "-F", "-b", String(blockBytes), "-m", "0", image]);
    await mkdir(path, { recursive: true });
    await run("mount", ["-o", "loop", image, path]);
    return new RottingStorage(path, image);
  }

  /** Changes one byte of a file on the storage, while the page cache goes on saying what it was. At once: it is called between two steps. */
  rot(file: string, offset: number): void {
    execFileSync("sync", ["-f", file]);
    execFileSync("cksum", [file]); // the page cache knows all of it from here on
    const place = physicalBlock(execFileSync("filefrag", ["-e", `-b${blockBytes}`, file], { encoding: "utf8" }), offset);
    const storage = openSync(this.image, "r+");
    writeSync(storage, Buffer.from([0xee]), 0, 1, place * blockBytes + (offset % blockBytes));
    closeSync(storage);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run("umount", [this.path]);
    await rm(this.image);
  }
}

/** The block of the file system that holds this byte of the file, as filefrag(8) lists extents. */
function physicalBlock(listed: string, offset: number): number {
  const block = Math.floor(offset / blockBytes);
  for (const [, first, last, physical] of listed.matchAll(/^ *\d+: *(\d+)\.\. *(\d+): *(\d+)\.\./gm)) {
    if (block >= Number(first) && block <= Number(last)) return Number(physical) + block - Number(first);
  }
  throw new Error(`No block of the file holds its byte ${offset}: ${listed}`);
}
