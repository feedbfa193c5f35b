/** The first steps: everything is asked, then the move is written down beside the source, then beside the destination. */

import { bytesText } from "../../../core/bytes.js";
import { fileNames, nodeNames } from "../../../core/disk/names.js";
import { directoryOf, within } from "../../../core/disk/paths.js";
import { isKind } from "../../../core/errors.js";
import { seeFiles } from "../../../host/file-seen.js";
import { freeBytes, makeAnew, removeFile } from "../../../host/files.js";
import type { Manifest } from "../../../journal/manifest.js";
import { removeRecords, writeDestinationRecord, writeSourceRecord } from "../../../journal/records.js";
import { makeStateDirectory } from "../../../journal/state-directory.js";
import { complaint, wordsOf } from "../../shared/complaint.js";
import { checkGuest, checkHolders, type Refusing } from "../../shared/others.js";
import { checkActiveFile, checkFeatures } from "../../shared/preflight.js";
import type { Seen, SeenDisk, Site } from "../../shared/site.js";
import { compareAdopted } from "./adopting.js";
import { checkBurdens } from "./burdens.js";
import { checkCollapse } from "./collapsible.js";
import { type Draft, draftMove } from "./draft.js";
import { checkLink } from "./link.js";
import { checkNameable } from "./nameable.js";
import { checkActiveName, checkDestination, checkDevice, checkDisk } from "./preflight.js";

type Bound = Site & { destination: string };

/** For a manifest, what it shall say, what it said, and the switch record, each in blocks of the file system's. */
const manifestRoomBytes = 256 * 1024;

/** Refuses all of them, or writes all of them down. */
export async function begin(site: Bound, seen: Seen, disks: readonly SeenDisk[]): Promise<void> {
  const first = disks[0];
  if (!first) return;
  const refusing: Refusing<SeenDisk> = {
    refuse: ({ disk }, why, advice) => complaint(site, { verb: "move", disk, why, advice }),
    sharing: "refused",
  };
  await checkFeatures(site, first.disk);
  await checkGuest(site, disks, refusing);
  for (const disk of disks) await checkBurdens(site, seen, disk);
  for (const disk of disks) {
    checkDisk(site, seen.view, disk);
    checkCollapse(site, disk);
    await checkDevice(site, disk);
    await checkDestination(site, disk);
    await checkActiveFile(site, disk);
    await checkActiveName(site, disk);
  }
  await checkHolders(site, disks, refusing);
  await checkLink(site, seen.view, disks);
  const now = site.run.world.now();
  const drafts: Draft[] = [];
  for (const disk of disks) drafts.push(await draftMove(site, seen.view, disk, now));
  checkNames(site, drafts);
  await checkSpace(site, drafts);
  for (const draft of drafts) draft.manifest.layers = await compareAdopted(site, draft.disk, { manifest: draft.manifest });
  for (const { disk, manifest } of drafts) await checkNameable(site, { ...disk, manifest });
  for (const draft of drafts) await record(site, draft);
}

/** Layers land flat, by their names: two different files cannot have the same one. */
function checkNames(site: Bound, drafts: readonly Draft[]): void {
  const landed = new Map<string, string>();
  for (const { disk, manifest } of drafts) {
    const files = [{ source: manifest.source.active, destination: manifest.destination.active }, ...manifest.layers];
    for (const { source, destination } of files) {
      const other = landed.get(destination);
      if (other !== undefined && other !== source) {
        const why = `${source} and ${other} have the same name, and would both be ${destination}`;
        throw complaint(site, {
          verb: "move",
          disk: disk.disk,
          why,
          advice: "Move them to different directories, with a StorageMigration each.",
        });
      }
      landed.set(destination, source);
    }
  }
}

async function checkSpace(site: Bound, drafts: readonly Draft[]): Promise<void> {
  const needed = drafts.reduce((sum, draft) => sum + draft.neededBytes, 0);
  const free = await freeBytes(site.host, site.destination);
  if (free >= needed) return;
  const why = `${site.destination} has ${bytesText(free)} free, ${bytesText(needed)} needed`;
  throw complaint(site, {
    verb: "move",
    disk: drafts.map(({ disk }) => disk.disk).join(", "),
    why,
    advice: "Free space, then run `pulumi up` again.",
  });
}

/**
 * The source's manifest, and the proof that QEMU itself may write at the destination; where that is refused nothing of it stays. A cut
 * connection leaves it open whether QEMU has the probe open: then the manifest stays, by which the next run finds it.
 */
async function record(site: Bound, { disk, manifest }: Draft): Promise<void> {
  const home = directoryOf(manifest.source.active);
  if ((await freeBytes(site.host, home)) < manifestRoomBytes) {
    await makeStateDirectory({ worker: await site.host.worker(), path: site.host.stateDirectory }, home);
    manifest.source.manifestIn = site.host.stateDirectory;
    const [directory] = await seeFiles(site.host, [site.host.stateDirectory], "follow");
    if (manifest.directories && directory) manifest.directories.source = directory.identity;
  }
  await writeSourceRecord(site.host, disk.key, manifest);
  try {
    await probe(site, disk, manifest);
  } catch (cause) {
    if (!isCut(cause)) await removeRecords(site.host, disk.key, manifest, "source");
    throw cause;
  }
}

/** Nobody has refused anything: what was asked may have been done. */
function isCut(cause: unknown): boolean {
  return isKind(cause, "unreachable") || isKind(cause, "outcome-unknown");
}

async function probe(site: Bound, disk: SeenDisk, manifest: Manifest): Promise<void> {
  const path = within(site.destination, fileNames.probe(disk.key));
  const refuse = (why: string, cause: unknown) =>
    complaint(site, {
      verb: "move",
      disk: disk.disk,
      why,
      advice: "Let the guest's QEMU write there: owner, mode, AppArmor, SELinux, mount namespace.",
      cause,
    });
  try {
    await makeAnew(site.host, path, { content: " ".repeat(4096), like: manifest.source.active });
  } catch (cause) {
    if (isCut(cause)) throw cause;
    await removeFile(site.host, path);
    throw refuse(`nothing can be created in ${site.destination} (${wordsOf(cause)})`, cause);
  }
  try {
    await site.guest.probe(nodeNames.probe(disk.key), path, disk.image.cache);
  } catch (cause) {
    if (isCut(cause)) throw cause;
    throw refuse(`its QEMU cannot open a file in ${site.destination} (${wordsOf(cause)})`, cause);
  } finally {
    await removeFile(site.host, path);
  }
}

/** Beside the destination too: from here on the move is found from either side. */
export async function recordDestination(site: Site, disk: SeenDisk, manifest: Manifest): Promise<void> {
  await writeDestinationRecord(site.host, disk.key, manifest);
}
