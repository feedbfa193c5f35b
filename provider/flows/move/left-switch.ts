/** A switch that was cut, of a guest that does not run any more. */

import { diskKey } from "../../core/disk/names.js";
import { directoryOf } from "../../core/disk/paths.js";
import { readSmallFile } from "../../host/files.js";
import { withLocks } from "../../journal/lock.js";
import { parseManifest, type WrittenManifest } from "../../journal/manifest.js";
import { manifestsIn } from "../../journal/manifest-text.js";
import { readRecords } from "../../journal/records.js";
import { isSnapshotText } from "../../journal/snapshot-mark.js";
import { endOfLeft } from "../shared/silent-guest.js";
import type { Site } from "../shared/site.js";
import { type EndedDisk, writeEnds } from "./end-switch.js";

/** Names and manifests are put right. @returns where each disk is @throws UserError if both of its images were written to since */
export async function endLeftSwitches(site: Site): Promise<string[]> {
  const { host, run } = site;
  const left = await cutManifests(site);
  if (left.length === 0) return [];
  return withLocks(host, async (locks) => {
    const ended: EndedDisk[] = [];
    for (const { disk, domainId, qdev, source, destination } of left) {
      const key = diskKey(domainId, qdev);
      const directories = [directoryOf(source.active), destination.directory];
      await locks.takeAll(directories, key, { said: (text) => run.progress(`${disk} ${text}`), stop: run.stop });
      const records = await readRecords(host, key, directories);
      if (records?.cut) ended.push({ ...records.cut, key, ends: await endOfLeft(host, records.cut) });
    }
    await writeEnds(host, ended);
    return ended.map(({ written: { disk, current }, ends }) => `${disk} at ${current[ends]}`);
  });
}

/** One for each disk. */
async function cutManifests({ host, left }: Site): Promise<WrittenManifest[]> {
  const found = new Map<string, WrittenManifest>();
  for (const path of left ? await manifestsIn(host, left.directories) : []) {
    const text = await readSmallFile(host, path);
    const written = text === undefined || isSnapshotText(text) ? undefined : parseManifest(text, path);
    if (written && written.domainId === left?.domainId && typeof written.current === "object") found.set(written.qdev, written);
  }
  return [...found.values()];
}
