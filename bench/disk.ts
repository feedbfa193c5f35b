/** The disk that the benchmarks move, and what its files cost to copy by the tools that are there anyway. */

import { mkdir, rm } from "node:fs/promises";
import path from "node:path";
import { chainOf } from "../test/sandbox/check.js";
import { run } from "../test/sandbox/command.js";
import type { DiskOptions, LayerOptions } from "../test/sandbox/disks.js";
import type { Size } from "./size.js";

/** 8 GiB virtual, 4 GiB allocated in three layers that do not cover each other: flattened it is as large. */
const layerMiB = { full: [2000, 1200, 896], tiny: [16, 8, 8] } as const;
export const virtualMiB = { full: 8192, tiny: 64 } as const;

/** A guest under measurement rests no longer between two writes, on either side. */
export const writePauseMs = 10;

/**
 * The disk itself, on either side. Its guest's QEMU goes past the page cache, as oVirt's and OpenStack's do: else a file system that
 * orders its data (ext4) lets a guest's flush wait for all that a mirror has left in the cache, and that is what would be measured.
 */
export function diskOf(size: Size, storage: string): DiskOptions {
  return { storage, layers: threeLayersOf(size), virtualMiB: virtualMiB[size], cache: "none" };
}

function threeLayersOf(size: Size): LayerOptions[] {
  let fromMiB = 0;
  return layerMiB[size].map((lengthMiB, index) => {
    const fill = { byte: 0x11 * (index + 1), fromMiB, lengthMiB };
    fromMiB += lengthMiB;
    return { file: ["base.qcow2", "middle.qcow2", "top.qcow2"][index] ?? "", fill };
  });
}

/** Files of a chain, the active one first. */
export async function filesOf(active: string): Promise<string[]> {
  return (await chainOf(active)).map((layer) => path.resolve(layer.path));
}

/**
 * Each side finds the same: nothing of the files in the page cache, neither the other's reads nor its own; all of them in whatever cache
 * the storage has; and memory that the machine has used just before. On a virtual machine that gives freed pages back to its host the
 * first read through the page cache took 5 to 9 s for 3 GiB, the second one 2, and only the tools read through it.
 */
export async function level(files: readonly string[]): Promise<void> {
  for (const file of files) {
    await run("sync", [file]);
    await run("dd", [`if=${file}`, "of=/dev/null", "bs=4M", "status=none"], { timeoutSeconds: 600 });
  }
  for (const file of files) await run("dd", [`if=${file}`, "iflag=nocache", "count=0", "status=none"]);
}

const panel: Readonly<Record<string, (from: string, to: string) => [string, string[]]>> = {
  "cp --sparse=always": (from, to) => ["cp", ["--sparse=always", from, to]],
  "dd oflag=direct": (from, to) => ["dd", [`if=${from}`, `of=${to}`, "bs=16M", "oflag=direct", "status=none"]],
  "qemu-img convert -m 16 -W": (from, to) => ["qemu-img", ["convert", "-U", "-m", "16", "-W", "-f", "raw", "-O", "raw", from, to]],
};

/** Seconds that each of the panel, or those of it with these names, need to copy the files into the folder, synced; the folder is gone afterwards. */
export async function copyByPanel(files: readonly string[], folder: string, names = Object.keys(panel)): Promise<Map<string, number>> {
  const seconds = new Map<string, number>();
  for (const [name, command] of Object.entries(panel).filter(([each]) => names.includes(each))) {
    await level(files);
    await mkdir(folder, { recursive: true });
    seconds.set(
      name,
      await timed(async () => {
        for (const file of files) {
          const copy = path.join(folder, path.basename(file));
          const [program, args] = command(file, copy);
          await run(program, args, { timeoutSeconds: 600 });
          await run("sync", [copy]);
        }
      }),
    );
    await rm(folder, { recursive: true });
  }
  return seconds;
}

export async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1000;
}
