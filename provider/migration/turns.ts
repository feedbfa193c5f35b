/** What the switch of a move is, for each of its disks and for their link. */

import { fileNames, jobNames } from "../disk/names.js";
import { BugError } from "../errors.js";
import { type Manifest, manifestText } from "./manifest.js";
import { manifestPaths } from "./records.js";
import type { SeenDisk } from "./site.js";
import type { LinkTurn, Turn } from "./switch.js";

/** The pivot of a disk's mirror. */
export function pivotTurn({ disk, key, image }: SeenDisk, manifest: Manifest): Turn {
  const { source, destination, quarantine } = manifest;
  if (!destination.file) throw new BugError(`The target ${destination.active} is ready, but what it is was never written down.`);
  const after: Manifest = { ...manifest, current: destination.active, switched: { ...destination.file, sizeBytes: 0, modified: "" } };
  const paths = manifestPaths(manifest, key);
  const record = (path: string) => ({ path, now: manifestText(manifest), next: openEnded(manifestText(after)) });
  return {
    ...{ disk, key, jobId: jobNames.mirror(key), source: source.active, target: destination.active },
    records: [record(paths.source), record(paths.destination)],
    stale: { active: source.active, quarantine, standIn: image.chain[0].format === "raw" ? "needed" : "none" },
  };
}

/** A manifest up to the size and time in its last property. */
export function openEnded(text: string): string {
  return text.slice(0, text.lastIndexOf('"sizeBytes"'));
}

/** All disks of a move are behind the same link, so the first one's manifest names it. */
export function linkTurn(disk: SeenDisk | undefined, manifest: Manifest | undefined): LinkTurn | undefined {
  if (!disk || !manifest?.link) return undefined;
  const { path, before } = manifest.link;
  return {
    path,
    next: { path: fileNames.linkNext(path, disk.key), leadsTo: manifest.destination.directory },
    back: { path: fileNames.linkBack(path, disk.key), leadsTo: before },
  };
}
