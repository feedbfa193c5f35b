/** How the end of a switch that was written down is written, whichever flow it is of. */

import { type DiskKey, diskKey } from "../../core/disk/names.js";
import { BugError } from "../../core/errors.js";
import type { Host } from "../../host/host.js";
import type { SwitchSide } from "../../journal/decided-by.js";
import { withLocks } from "../../journal/lock.js";
import type { CutSwitch } from "../../journal/two-sided.js";
import { endOfLeft, type LeftManifest } from "./silent-guest.js";
import type { Site } from "./site.js";

/** A disk of a switch that has not ended, and on which of its images it ends. */
export interface EndedDisk<W> extends CutSwitch<W> {
  key: DiskKey;
  ends: SwitchSide;
}

/** @throws BugError for a disk of no switch, or of one that has ended */
export function endOf<W>({ disk, key, seen, cut }: CutDisk<W>): EndedDisk<W> {
  if (!cut || seen.phase !== "switch-cut" || !seen.ends)
    throw new BugError(`The end of a switch was chosen for ${disk}, which is in none.`);
  return { ...cut, key, ends: seen.ends };
}

/** Whether guest I/O waits still, in the QEMU that had the disks in the switch. */
export function waitsForJobs(disks: readonly CutDisk<unknown>[]): boolean {
  return disks.some(({ seen }) => seen.phase === "switch-cut" && seen.jobs === "pending");
}

interface CutDisk<W> {
  disk: string;
  key: DiskKey;
  seen: { phase: string; ends?: SwitchSide; jobs?: "pending" | "over" };
  cut?: CutSwitch<W>;
}

/** What is written of each disk. All of it may be done twice. */
export interface EndWriter<W> {
  names(disk: EndedDisk<W>): Promise<void>;
  /** The image that a disk was to go to and did not takes no more writes: a boot must not find it. */
  hideTarget(disk: EndedDisk<W>): Promise<void>;
  /**
   * Both manifests, which then say plainly what is current.
   * @param side on which most disks end: what decides says nothing of a disk that ends on the other one any more
   * @throws UserError if one cannot be written: what decides still does
   */
  manifests(disk: EndedDisk<W>, side: SwitchSide): Promise<void>;
  decide(disk: EndedDisk<W>, side: SwitchSide): Promise<void>;
  /** What has decided is needed no more. */
  forget(disk: EndedDisk<W>): Promise<void>;
}

/**
 * Names first, then what decides, then the manifests, so that a cut in between leaves what this chooses again. Disks that end otherwise
 * than most have their manifests written before what decides says something else of them.
 */
export async function writeEndsBy<W>(disks: readonly EndedDisk<W>[], writer: EndWriter<W>): Promise<void> {
  const side = disks.some(({ ends }) => ends === "after") ? "after" : "before";
  const astray = disks.filter(({ ends, decided }) => ends === "before" && decided === "after");
  for (const disk of disks) await writer.names(disk);
  for (const disk of astray) await writer.hideTarget(disk);
  for (const disk of disks) if (disk.ends !== side) await writer.manifests(disk, side);
  try {
    for (const disk of disks) await writer.decide(disk, side);
  } catch (unwritable) {
    // what decides still names the image that nobody writes to: the manifests at least say what is right
    for (const disk of astray) await writer.manifests(disk, side);
    throw unwritable;
  }
  for (const disk of disks) if (disk.ends === side) await writer.manifests(disk, side);
  for (const disk of disks) await writer.forget(disk);
}

/** How a flow reads and writes what a guest has left that does not run any more. */
export interface LeftSwitches<W> {
  /** One manifest for each disk. */
  left: readonly W[];
  directoriesOf(manifest: W): [string, string];
  read(key: DiskKey, directories: readonly string[]): Promise<{ cut?: CutSwitch<W> } | undefined>;
  write(host: Host, ended: readonly EndedDisk<W>[]): Promise<void>;
}

/** Names and manifests are put right. @returns where each disk is @throws UserError if both of its images were written to since */
export async function endLeft<W extends LeftManifest>(
  { host, run }: Pick<Site, "host" | "run">,
  { left, directoriesOf, read, write }: LeftSwitches<W>,
): Promise<string[]> {
  if (left.length === 0) return [];
  return withLocks(host, async (locks) => {
    const ended: EndedDisk<W>[] = [];
    for (const manifest of left) {
      const key = diskKey(manifest.domainId, manifest.qdev);
      const directories = directoriesOf(manifest);
      await locks.takeAll(directories, key, { said: (text) => run.progress(`${manifest.disk} ${text}`), stop: run.stop });
      const records = await read(key, directories);
      if (records?.cut) ended.push({ ...records.cut, key, ends: await endOfLeft(host, records.cut) });
    }
    await write(host, ended);
    return ended.map(({ written: { disk, current }, ends }) => `${disk} at ${current[ends]}`);
  });
}
