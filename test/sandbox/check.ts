/** Reads a chain with qemu-img, as a boot would read it, and looks for every record and every untouched byte. */

import { closeSync, openSync, readSync } from "node:fs";
import path from "node:path";
import { run } from "./command.js";
import { makeFolder } from "./folders.js";
import type { GuestDisk } from "./guest.js";
import { clusterBytes, recordBytes, sequenceIn, slotOf, slotOffset, slots } from "./record.js";

export interface Check {
  /** How many records the guest had called safe. */
  acknowledged: number;
  /** Numbers of safe records that are neither there nor replaced by a later one. */
  lost: number[];
  /** Offsets in bytes of 64 KiB clusters that hold anything but a whole record and the bytes they were made with. */
  corrupt: number[];
}

/** `closed`: the guest has ended. `paused`: its QEMU runs, and writes nothing (QMP's `stop` has flushed all images). */
export type ImageUse = "closed" | "paused";

/**
 * Checks the disk whose active image is `imagePath`. Nobody may write to it meanwhile: stop, kill or pause the guest first.
 * @throws Error if the guest has called nothing safe (such a check would prove nothing), or the size differs
 */
export async function checkImage(imagePath: string, disk: GuestDisk, use: ImageUse = "closed"): Promise<Check> {
  const acknowledged = disk.acknowledged();
  if (acknowledged.length === 0) throw new Error(`Nothing to check in ${imagePath}: the guest has called no record of ${disk.id} safe.`);
  const folder = await makeFolder("livedisk-check-");
  try {
    const flat = path.join(folder.path, "flat.raw");
    const top = (await chainOf(imagePath))[0];
    if (top?.virtualBytes !== disk.virtualBytes) throw new Error(`${imagePath} has ${top?.virtualBytes} bytes, not ${disk.virtualBytes}.`);
    await run("qemu-img", [
      "convert",
      ...(use === "paused" ? ["--force-share"] : []),
      "-f",
      top.format,
      "-O",
      "raw",
      "-S",
      "4k",
      imagePath,
      flat,
    ]);
    return { acknowledged: acknowledged.length, ...compare(flat, await dataExtents(flat), disk, latestOfSlots(acknowledged)) };
  } finally {
    await folder.remove();
  }
}

export interface ChainLink {
  path: string;
  format: string;
  virtualBytes: number;
  /** As it stands in the image's own header. */
  backingName?: string;
}

/** The chain below an image, by the headers on disk, the image itself first. Works on images in use. */
export async function chainOf(imagePath: string): Promise<ChainLink[]> {
  const answer = await run("qemu-img", ["info", "--force-share", "--backing-chain", "--output=json", imagePath]);
  const infos = JSON.parse(answer) as { filename: string; format: string; "virtual-size": number; "backing-filename"?: string }[];
  return infos.map((info) => {
    const link = { path: info.filename, format: info.format, virtualBytes: info["virtual-size"] };
    return info["backing-filename"] === undefined ? link : { ...link, backingName: info["backing-filename"] };
  });
}

function latestOfSlots(acknowledged: readonly number[]): Map<number, number> {
  const latest = new Map<number, number>();
  for (const sequence of acknowledged) latest.set(slotOf(sequence), Math.max(sequence, latest.get(slotOf(sequence)) ?? 0));
  return latest;
}

interface Extent {
  start: number;
  length: number;
}

/** Where the flat file is not a hole. */
async function dataExtents(flat: string): Promise<Extent[]> {
  const map = JSON.parse(await run("qemu-img", ["map", "-f", "raw", "--output=json", flat])) as (Extent & { data: boolean })[];
  return map.filter((extent) => extent.data);
}

function compare(
  flat: string,
  extents: readonly Extent[],
  disk: GuestDisk,
  latest: ReadonlyMap<number, number>,
): Pick<Check, "lost" | "corrupt"> {
  const file = openSync(flat, "r");
  const found: Pick<Check, "lost" | "corrupt"> = { lost: [], corrupt: [] };
  const cluster = Buffer.alloc(clusterBytes);
  try {
    for (const offset of worthReading(extents, disk)) {
      cluster.fill(0);
      readSync(file, cluster, 0, clusterBytes, offset);
      const slot = offset / clusterBytes;
      const untouched = template(fillByte(disk, offset));
      const verdict = slot < slots ? judgeSlot(cluster, slot, untouched, disk.guestName, latest.get(slot)) : judgeRest(cluster, untouched);
      if (verdict.lost !== undefined) found.lost.push(verdict.lost);
      if (verdict.corrupt === "yes") found.corrupt.push(offset);
    }
  } finally {
    closeSync(file);
  }
  return found;
}

/** All clusters that hold data or should. */
function worthReading(extents: readonly Extent[], disk: GuestDisk): number[] {
  const fills = disk.fills.map((fill) => ({ start: fill.fromMiB * 2 ** 20, length: fill.lengthMiB * 2 ** 20 }));
  const wanted = new Set<number>();
  for (const { start, length } of [...extents, ...fills, { start: 0, length: slots * clusterBytes }]) {
    for (let at = start - (start % clusterBytes); at < start + length; at += clusterBytes) wanted.add(at);
  }
  return [...wanted].sort((a, b) => a - b);
}

function fillByte(disk: GuestDisk, offset: number): number {
  const covers = disk.fills.findLast((fill) => offset >= fill.fromMiB * 2 ** 20 && offset < (fill.fromMiB + fill.lengthMiB) * 2 ** 20);
  return covers?.byte ?? 0;
}

const templates = new Map<number, Buffer>();

function template(byte: number): Buffer {
  const kept = templates.get(byte) ?? Buffer.alloc(clusterBytes, byte);
  templates.set(byte, kept);
  return kept;
}

interface Verdict {
  lost?: number;
  corrupt: "yes" | "no";
}

function judgeRest(cluster: Buffer, untouched: Buffer): Verdict {
  return { corrupt: cluster.equals(untouched) ? "no" : "yes" };
}

function judgeSlot(cluster: Buffer, slot: number, untouched: Buffer, guestName: string, wanted: number | undefined): Verdict {
  const from = slotOffset(slot) - slot * clusterBytes;
  const to = from + recordBytes;
  const record = cluster.subarray(from, to);
  const sequence = sequenceIn(record, guestName);
  const inPlace = sequence !== undefined && slotOf(sequence) === slot;
  const aroundIsWhole =
    cluster.subarray(0, from).equals(untouched.subarray(0, from)) && cluster.subarray(to).equals(untouched.subarray(to));
  const corrupt = aroundIsWhole && (inPlace || record.equals(untouched.subarray(from, to))) ? "no" : "yes";
  const there = wanted === undefined || (inPlace && sequence >= wanted);
  return there ? { corrupt } : { lost: wanted, corrupt };
}
