/** One look at the host: where each disk's move stands. Changes nothing, remembers nothing. */

import { sameFile } from "../../../core/disk/chain.js";
import { type DiskKey, diskKey } from "../../../core/disk/names.js";
import { directoryOf, within } from "../../../core/disk/paths.js";
import { type FileSeen, seeFiles } from "../../../host/file-seen.js";
import { realPath } from "../../../host/files.js";
import { remembering } from "../../../host/remembering.js";
import { findDisk } from "../../../hypervisor/find-disk.js";
import { type GuestProcess, type GuestView, type ImageView, suspendedNow } from "../../../hypervisor/hypervisor.js";
import { type Manifest, pathOf } from "../../../journal/manifest.js";
import { type Records, readRecords } from "../../../journal/records.js";
import { readSnapshotMark, snapshotLasts } from "../../../journal/snapshot-mark.js";
import type { DiskPlaces } from "../../../reconciler/held-places.js";
import type { Phase } from "../../shared/phase.js";
import { existing, imageOf, sameDirectory } from "../../shared/places.js";
import type { Seen, SeenDisk, Viewpoint } from "../../shared/site.js";
import { bootPathOf, type IsOpen, isFileOpen, notWhereNamed } from "./by-link.js";
import { definitionBehind } from "./definition.js";
import { phaseOf } from "./phases.js";

/** What concerns several disks, such as their directories, is asked once a look. */
function glance(site: Viewpoint): Viewpoint {
  return { ...site, host: remembering(site.host) };
}

/** Looks at the guest and at the files of the named disks. */
export async function observe(from: Viewpoint, disks: readonly string[]): Promise<Seen> {
  const site = glance(from);
  const looked = await look(site, disks);
  // side by side: from far away a look at many disks takes as long as at one
  const seen = await Promise.all(looked.found.map((place) => observeDisk(site, looked, place)));
  return { view: looked.view, disks: seen.map((disk) => unlessSuspended(looked.view, disk)) };
}

/** A disk is not in order as long as its guest is suspended for a switch, be it another disk's. */
function unlessSuspended(view: GuestView, disk: SeenDisk): SeenDisk {
  return disk.seen.phase === "settled" && suspendedNow(view) ? { ...disk, seen: { phase: "suspended" } } : disk;
}

/** Where the disks are, and where moves of them that are under way go. */
export async function observeNames(from: Viewpoint, disks: readonly string[]): Promise<DiskPlaces[]> {
  const site = glance(from);
  const { found } = await look(site, disks);
  const placesOf = async ({ disk, key, directory }: FoundDisk): Promise<DiskPlaces> => {
    const records = await recordsOf(site, found, key, directory);
    const under = records ? [directoryOf(records.manifest.source.active), records.manifest.destination.directory] : [];
    const wanted = await existing(site.host, [directory, ...under, ...(site.destination === undefined ? [] : [site.destination])]);
    return { disk, key, directories: wanted };
  };
  return Promise.all(found.map(placesOf));
}

/** One disk by what it is, and where QEMU says its active image is. */
interface FoundDisk {
  disk: string;
  key: DiskKey;
  qdev: string;
  image: ImageView;
  named: string;
  directory: string;
}

interface Look {
  view: GuestView;
  /** Asked at most once a look, and only where something hangs on it: the host searches through all its processes. */
  process: () => Promise<GuestProcess | undefined>;
  found: FoundDisk[];
}

async function look(site: Viewpoint, disks: readonly string[]): Promise<Look> {
  const view = await site.guest.look();
  let asked: Promise<GuestProcess | undefined> | undefined;
  const process = () => {
    asked ??= site.guest.process();
    return asked;
  };
  const find = async (disk: string): Promise<FoundDisk> => {
    const device = await findDisk(site.guest, view, disk);
    const image = imageOf(site, disk, device);
    const { path } = image.chain[0];
    const named = path.startsWith("/") ? path : within((await process())?.workingDirectory ?? "/", path);
    const directory = await realPath(site.host, directoryOf(named));
    return { disk, key: diskKey(view.domainId, device.qdev), qdev: device.qdev, image, named, directory };
  };
  return { view, process, found: await Promise.all(disks.map(find)) };
}

function recordsOf(site: Viewpoint, all: readonly FoundDisk[], key: DiskKey, directory: string): Promise<Records | undefined> {
  const directories = [directory, ...(site.destination === undefined ? [] : [site.destination])];
  return readRecords(
    site.host,
    key,
    directories,
    all.map((disk) => disk.key),
  );
}

async function observeDisk(site: Viewpoint, { view, process, found }: Look, place: FoundDisk): Promise<SeenDisk> {
  const { disk, key, qdev, image, named, directory } = place;
  const records = await recordsOf(site, found, key, directory);
  const isOpen = await isFileOpen(site, process, place);
  const bootPath = await bootPathOf(site, process, { named, directory, isOpen, current: records?.manifest.current });
  const recorded = records && { manifest: records.manifest, ...(records.cut && { cut: records.cut }) };
  const base = { disk, key, qdev, image, active: { named, directory }, bootPath, ...recorded };
  if (!records) return { ...base, heading: "wanted", standing: "former", seen: await withoutRecords(site, place, isOpen) };
  const { manifest } = records;
  const heading = await headingOf(site, manifest);
  const definition = definitionBehind(manifest, image, named) ? ({ definition: "behind" } as const) : {};
  if (site.guest.traits.pulls === "told" || manifest.overlay?.collapse !== "pull") {
    const found = await phaseOf({ site, view, process, image, named, key, records });
    const active = (await placeIn(site, process, { named, inManifest: pathOf(manifest, found.standing) })) ?? base.active;
    return { ...base, active, heading, ...definition, ...found };
  }
  const now = await site.guest.lookForPull(qdev);
  const chain = imageOf(site, disk, await findDisk(site.guest, now, qdev));
  return {
    ...{ ...base, image: chain, heading, ...definition },
    ...(await phaseOf({ site, view: now, process, image: chain, named, key, records })),
  };
}

/** A name through a link that was re-pointed since QEMU opened it leads elsewhere by now: then that in the manifest counts, if QEMU has that open. */
async function placeIn(
  site: Viewpoint,
  process: Look["process"],
  { named, inManifest }: { named: string; inManifest: string },
): Promise<SeenDisk["active"] | undefined> {
  if (named === inManifest) return undefined;
  const [byName, recorded] = await seeFiles(site.host, [named, inManifest], "follow");
  if (!recorded || (byName && sameFile(byName, recorded))) return undefined;
  const open = (await process())?.openFiles;
  const has = (file: FileSeen | undefined) => file !== undefined && open?.has(`${file.dev}:${file.ino}`) === true;
  return has(recorded) && !has(byName) ? { named: inManifest, directory: directoryOf(inManifest) } : undefined;
}

async function withoutRecords(site: Viewpoint, { key, directory, named, image }: FoundDisk, isOpen: IsOpen): Promise<Phase> {
  if (site.destination === undefined) return { phase: "settled" };
  if (isOpen === "another") return { phase: "contradiction", why: notWhereNamed(site, named) };
  if ((await sameDirectory(site, directory, site.destination)) === "same") {
    const { definedAt = named } = image;
    return definedAt === named ? { phase: "settled" } : { phase: "misdefined", definedAt };
  }
  const mark = await readSnapshotMark(site.host, key, [directory, site.destination]);
  return mark ? { phase: "snapshotted", why: snapshotLasts(mark) } : { phase: "idle" };
}

async function headingOf(site: Viewpoint, manifest: Manifest): Promise<"wanted" | "elsewhere"> {
  if (site.destination === undefined) return "wanted";
  return (await sameDirectory(site, manifest.destination.directory, site.destination)) === "same" ? "wanted" : "elsewhere";
}
