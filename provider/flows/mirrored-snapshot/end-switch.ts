/** The end of a pivot that is written down: jobs that wait are ended, names put right, and the manifests say plainly what is current. */

import { isFile, sameFile } from "../../core/disk/chain.js";
import { jobNames } from "../../core/disk/names.js";
import { seeFiles } from "../../host/file-seen.js";
import { renameWithoutReplacing } from "../../host/files.js";
import type { Host } from "../../host/host.js";
import { correctBoth } from "../../journal/corrected.js";
import { snapshotDecidedAs, snapshotManifestText, type WrittenSnapshotManifest } from "../../journal/snapshot-manifest.js";
import { manifestPaths } from "../../journal/snapshot-records.js";
import { decideByRecord, dropSwitchRecord } from "../../journal/switch-record.js";
import { type EndedDisk, endOf, waitsForJobs, writeEndsBy } from "../shared/end-switch.js";
import { recoverDisks } from "../shared/recover-switch.js";
import type { Told } from "../shared/switch.js";
import type { SeenDisk, SnapshotSite } from "./site.js";

type Ended = EndedDisk<WrittenSnapshotManifest>;

/** Every line of it may be done twice. */
export async function endSwitch(site: SnapshotSite, disks: readonly SeenDisk[]): Promise<void> {
  const [first] = disks;
  if (!first) return;
  if (!waitsForJobs(disks))
    return writeEnds(
      site.host,
      disks.map((disk) => endOf(disk)),
    );
  const { written, decided } = endOf(first);
  const deciding = { decidedBy: "switch-record" as const, path: written.current.path };
  await recoverDisks(site, { disks: disks.map(cutOf), deciding }, decided);
}

export function writeEnds(host: Host, disks: readonly Ended[]): Promise<void> {
  return writeEndsBy(disks, {
    names: (disk) => putNameRight(host, disk),
    // its name is the operator's, and the next mirror goes onto that very file
    hideTarget: async () => {},
    manifests: (disk) => writePlainly(host, disk),
    decide: ({ written }, side) => decideByRecord(host, written.current.path, side),
    forget: ({ written }) => dropSwitchRecord(host, written.current.path),
  });
}

/** @throws UserError if one of the two cannot be written: then the record still decides */
async function writePlainly(host: Host, { key, written, ends }: Ended): Promise<void> {
  const manifest = snapshotDecidedAs(written, ends);
  const paths = manifestPaths(manifest, key);
  const unwritten = await correctBoth(host, paths, snapshotManifestText(manifest));
  if (unwritten !== undefined) throw unwritten;
}

async function putNameRight(host: Host, { written: { file, quarantine }, ends }: Ended): Promise<void> {
  const [from, to] = ends === "after" ? [file.path, quarantine] : [quarantine, file.path];
  const [found, taken] = await seeFiles(host, [from, to], "keep-links");
  if (found && (!taken || sameFile(found, taken)) && file.is && isFile(found, file.is))
    await renameWithoutReplacing(host, { from, to, known: found });
}

/** The part of a disk in the pivot that was cut, as far as it can still be done. */
function cutOf(disk: SeenDisk): Told {
  const { file, mirror, quarantine } = endOf(disk).written;
  return {
    ...{ disk: disk.disk, qdev: disk.qdev, job: { id: jobNames.mirror(disk.key), kind: "copy" }, node: mirror.node },
    ...{ source: file.path, target: { path: mirror.path } },
    stale: { active: file.path, quarantine, standIn: "none" },
  };
}
