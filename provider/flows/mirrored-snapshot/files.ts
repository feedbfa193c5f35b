/** The two files of a snapshot: made under our own name, written down by what they are, and only then given theirs. */

import { isFile, whichOf } from "../../core/disk/chain.js";
import { fileNames } from "../../core/disk/names.js";
import { directoryOf, within } from "../../core/disk/paths.js";
import { seeFiles } from "../../host/file-seen.js";
import { removeFile, renameWithoutReplacing } from "../../host/files.js";
import { overlayContent } from "../../image/overlay.js";
import { createImage } from "../../image/qemu-img.js";
import type { Part } from "../../journal/snapshot-manifest.js";
import { writeSnapshotRecords } from "../../journal/snapshot-records.js";
import { removeOwn } from "../shared/own-images.js";
import { type RecordedDisk, refusal, runsOn, type SnapshotSite } from "./site.js";

/** Makes what is to be made here and is not there yet. */
export async function makeFiles(site: SnapshotSite, disk: RecordedDisk): Promise<void> {
  const { file, mirror } = disk.manifest;
  for (const part of [file, mirror]) {
    if ((await standing(site, part)) === "ours") continue;
    if (part.made === "here") await makeFile(site, disk, part);
    else throw replaced(site, disk, part);
  }
}

/** The mirror's file without anything of an earlier mirror in it: a mirror that was cut has written only part of what it should. */
export async function emptyMirror(site: SnapshotSite, disk: RecordedDisk): Promise<void> {
  const { mirror } = disk.manifest;
  const stands = await standing(site, mirror);
  if (stands === "another") throw replaced(site, disk, mirror);
  if (stands === "ours" && (await overlayContent(site.host, mirror.path)) === "empty") return;
  const kept = stands === "ours" ? await removePart(site, mirror) : undefined;
  if (kept !== undefined) throw replaced(site, disk, { path: mirror.path, why: kept });
  await makeFile(site, disk, mirror);
}

/**
 * Removes a file of the snapshot if we made it and it is still that one.
 * @returns why it stays, to follow its path in a sentence; undefined where it is gone
 */
export async function removeOurs(site: SnapshotSite, disk: RecordedDisk, part: Part): Promise<string | undefined> {
  await removeFile(site.host, newborn(disk, part));
  if (part.made === "before") return "was there before";
  return removePart(site, part);
}

async function removePart(site: SnapshotSite, { path, is }: Part): Promise<string | undefined> {
  if (is) return (await removeOwn(site.host, { path, made: is, named: "by the user", maker: "this snapshot" }))?.why;
  const [there] = await seeFiles(site.host, [path], "keep-links");
  return there && "is not a file that was made here";
}

async function standing(site: SnapshotSite, { path, is }: Part): Promise<"ours" | "absent" | "another"> {
  const [there] = await seeFiles(site.host, [path], "keep-links");
  if (!there) return "absent";
  return is && isFile(there, is) ? "ours" : "another";
}

async function makeFile(site: SnapshotSite, disk: RecordedDisk, part: Part): Promise<void> {
  const path = newborn(disk, part);
  const { manifest, key } = disk;
  if ((await standing(site, part)) !== "absent") throw replaced(site, disk, part);
  await removeFile(site.host, path);
  const { backing, creation: options } = part;
  const made = await createImage(site.host, {
    path,
    format: "qcow2",
    options,
    virtualBytes: manifest.virtualBytes,
    backing,
    like: manifest.former.path,
  });
  part.is = whichOf(made);
  await writeSnapshotRecords(site.host, key, manifest);
  await renameWithoutReplacing(site.host, { from: path, to: part.path, known: made });
}

function newborn({ key }: RecordedDisk, { path }: Part): string {
  return within(directoryOf(path), fileNames.newborn(key));
}

const another = "is not the file that the snapshot was begun with";

function replaced(
  site: SnapshotSite,
  { disk, manifest }: RecordedDisk,
  { path, why: is = another }: { path: string; why?: string },
): Error {
  const why = `${path} ${is}`;
  const advice = "Put that file back, or take the other away, then run again.";
  return refusal(site, "go on with the mirrored snapshot of", disk)(why, advice, runsOn(manifest.current));
}
