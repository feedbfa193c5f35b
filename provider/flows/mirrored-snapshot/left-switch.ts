/** A pivot that was cut, of a guest that does not run any more. */

import { diskKey } from "../../core/disk/names.js";
import { directoryOf } from "../../core/disk/paths.js";
import { readSmallFile } from "../../host/files.js";
import { withLocks } from "../../journal/lock.js";
import { manifestsIn } from "../../journal/manifest-text.js";
import { parseSnapshotManifest, type WrittenSnapshotManifest } from "../../journal/snapshot-manifest.js";
import { isSnapshotText } from "../../journal/snapshot-mark.js";
import { readSnapshotRecords } from "../../journal/snapshot-records.js";
import { endOfLeft } from "../shared/silent-guest.js";
import { type EndedDisk, writeEnds } from "./end-switch.js";
import type { SnapshotSite } from "./site.js";

/** Names and manifests are put right. @returns where each disk is @throws UserError if both of its images were written to since */
export async function endLeftPivots(site: SnapshotSite): Promise<string[]> {
  const { host, run } = site;
  const left = await cutManifests(site);
  if (left.length === 0) return [];
  return withLocks(host, async (locks) => {
    const ended: EndedDisk[] = [];
    for (const { disk, domainId, qdev, file, mirror } of left) {
      const key = diskKey(domainId, qdev);
      const directories = [directoryOf(file.path), directoryOf(mirror.path)];
      await locks.takeAll(directories, key, { said: (text) => run.progress(`${disk} ${text}`), stop: run.stop });
      const records = await readSnapshotRecords(host, key, directories);
      if (records?.cut) ended.push({ ...records.cut, key, ends: await endOfLeft(host, records.cut) });
    }
    await writeEnds(host, ended);
    return ended.map(({ written: { disk, current }, ends }) => `${disk} at ${current[ends]}`);
  });
}

/** Of this snapshot, one for each disk. */
async function cutManifests({ host, left, disks }: SnapshotSite): Promise<WrittenSnapshotManifest[]> {
  const found = new Map<string, WrittenSnapshotManifest>();
  for (const path of left ? await manifestsIn(host, left.directories) : []) {
    const text = await readSmallFile(host, path);
    const written = text === undefined || !isSnapshotText(text) ? undefined : parseSnapshotManifest(text, path);
    const isWanted = written?.domainId === left?.domainId && disks.some(({ file }) => file === written?.file.path);
    if (written && isWanted && typeof written.current === "object") found.set(written.qdev, written);
  }
  return [...found.values()];
}
