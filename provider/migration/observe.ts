/** One look at the host: where each disk's move stands. Changes nothing, remembers nothing. */

import { type FileIdentity, isFile, isUnchanged, sameFile } from "../disk/chain.js";
import type { Job } from "../disk/job.js";
import { type DiskKey, diskKey, jobNames } from "../disk/names.js";
import { baseName, directoryOf, within } from "../disk/paths.js";
import { type FileStat, realPath, statFiles } from "../host/files.js";
import type { GuestProcess, GuestView, ImageView } from "../hypervisor/hypervisor.js";
import { findDisk } from "../hypervisor/qemu/find.js";
import { layerStates } from "../image/sidecar.js";
import { currentSide, type Manifest, type MovedLayer } from "./manifest.js";
import type { Phase } from "./observation.js";
import { imageOf, sameDirectory } from "./places.js";
import { type Records, readRecords } from "./records.js";
import type { Seen, SeenDisk, Site } from "./site.js";
import { readSnapshotMark, snapshotLasts } from "./snapshot-mark.js";

/** Looks at the guest and at the files of the named disks. */
export async function observe(site: Site, disks: readonly string[]): Promise<Seen> {
  const { view, process, found } = await look(site, disks);
  const seen: SeenDisk[] = [];
  for (const place of found) seen.push(await observeDisk(site, view, process, place));
  return { view, disks: seen };
}

/** Which directories a move of a disk concerns: the active image's, the wanted one, and those of a move that is under way. */
export interface DiskPlaces {
  disk: string;
  key: DiskKey;
  directories: string[];
}

export async function observeNames(site: Site, disks: readonly string[]): Promise<DiskPlaces[]> {
  const { found } = await look(site, disks);
  const places = [];
  for (const { disk, key, directory } of found) {
    const records = await recordsOf(site, key, directory);
    const under = records ? [directoryOf(records.manifest.source.active), records.manifest.destination.directory] : [];
    const wanted = await existing(site, [directory, ...under, ...(site.destination === undefined ? [] : [site.destination])]);
    places.push({ disk, key, directories: wanted });
  }
  return places;
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

async function look(
  site: Site,
  disks: readonly string[],
): Promise<{ view: GuestView; process: GuestProcess | undefined; found: FoundDisk[] }> {
  const view = await site.guest.look();
  const process = await site.guest.process();
  const found: FoundDisk[] = [];
  for (const disk of disks) {
    const device = await findDisk(site.guest, view, disk);
    const image = imageOf(site, disk, device);
    const named = within(process?.workingDirectory ?? "/", image.chain[0].path);
    const directory = await realPath(site.host, directoryOf(named));
    found.push({ disk, key: diskKey(view.domainId, device.qdev), qdev: device.qdev, image, named, directory });
  }
  return { view, process, found };
}

/** Real paths of those that are there, each once: a destination that is missing is the preflight's to refuse. */
async function existing(site: Site, directories: readonly string[]): Promise<string[]> {
  const stats = await statFiles(site.host, directories, "follow");
  const real: string[] = [];
  for (const [index, directory] of directories.entries()) {
    if (stats[index]?.kind === "directory") real.push(await realPath(site.host, directory));
  }
  return [...new Set(real)];
}

function recordsOf(site: Site, key: DiskKey, directory: string): Promise<Records | undefined> {
  return readRecords(site.host, key, [directory, ...(site.destination === undefined ? [] : [site.destination])]);
}

async function observeDisk(site: Site, view: GuestView, process: GuestProcess | undefined, place: FoundDisk): Promise<SeenDisk> {
  const { disk, key, qdev, image, named, directory } = place;
  const records = await recordsOf(site, key, directory);
  const base = { disk, key, qdev, image, active: { named, directory }, ...(records && { manifest: records.manifest }) };
  if (!records) return { ...base, heading: "wanted", seen: await withoutRecords(site, place) };
  const heading = await headingOf(site, records.manifest);
  return { ...base, heading, seen: await phaseOf({ site, view, process, image, named, key, records }) };
}

async function withoutRecords(site: Site, { key, directory }: FoundDisk): Promise<Phase> {
  if (site.destination === undefined) return { phase: "settled" };
  if ((await sameDirectory(site, directory, site.destination)) === "same") return { phase: "settled" };
  const mark = await readSnapshotMark(site.host, key, [directory, site.destination]);
  return mark ? { phase: "snapshotted", why: snapshotLasts(mark) } : { phase: "idle" };
}

async function headingOf(site: Site, manifest: Manifest): Promise<"wanted" | "elsewhere"> {
  if (site.destination === undefined) return "wanted";
  return (await sameDirectory(site, manifest.destination.directory, site.destination)) === "same" ? "wanted" : "elsewhere";
}

interface Evidence {
  site: Site;
  view: GuestView;
  process: GuestProcess | undefined;
  image: ImageView;
  named: string;
  key: DiskKey;
  records: Records;
}

async function phaseOf(evidence: Evidence): Promise<Phase> {
  const { manifest } = evidence.records;
  const job = evidence.view.jobs.find(({ id }) => id === jobNames.mirror(evidence.key));
  const places = [manifest.source.active, manifest.destination.active, evidence.named, manifest.quarantine];
  const [source, target, active, away] = await statFiles(evidence.site.host, places, "follow");
  const side = sideOf(evidence, job, { source, target, active });
  if (side === "destination") return { phase: "switched" };
  if (side === "elsewhere") return { phase: "contradiction", why: strayed(evidence, manifest) };
  // set back before the ended job is looked at: the guest writes to the source, and a boot must find that
  const ended = job === undefined || job.status === "concluded";
  if (ended && currentSide(manifest) === "destination") return neverLetGo(manifest, [source, away], target);
  if (job) return phaseOfJob(job, currentSide(manifest));
  if (evidence.records.sides === "source") return { phase: "recorded" };
  return phaseOfLayers(evidence, manifest.layers);
}

interface Files {
  source: FileStat | undefined;
  target: FileStat | undefined;
  /** What QEMU's name of the active image leads to now. */
  active: FileStat | undefined;
}

/** Which side the guest runs on. A job of ours mirrors *from* the source until it has concluded; after that the root node decides. */
function sideOf(evidence: Evidence, job: Job | undefined, files: Files): "source" | "destination" | "elsewhere" {
  const { view, image, records } = evidence;
  const { node } = records.manifest.destination;
  if (job && job.status !== "concluded") return "source";
  if (image.activeNode === node) return "destination";
  if (view.nodes.some(({ name }) => name === node)) return "source";
  return sideOfFiles(evidence, files);
}

/** QEMU was started anew since the target was opened: the file that it has open tells; where its process cannot be seen, the file's name. */
function sideOfFiles({ process, records }: Evidence, { source, target, active }: Files): "source" | "destination" | "elsewhere" {
  const recorded = records.manifest;
  const made = recorded.destination.file;
  const ourTarget = target && made && isFile(target, made) ? target : undefined;
  const ourSource = source && isFile(source, recorded.source) ? source : undefined;
  const hasOpen = (file: FileStat | undefined) =>
    file !== undefined && (process ? process.openFiles.has(`${file.dev}:${file.ino}`) : active !== undefined && sameFile(active, file));
  if (hasOpen(ourTarget)) return "destination";
  return hasOpen(ourSource) ? "source" : "elsewhere";
}

export function phaseOfJob(job: Job, current: "source" | "destination"): Phase {
  switch (job.status) {
    case "pending":
      return { phase: "pending", job, current };
    case "ready":
      return { phase: "ready", job };
    case "concluded":
      return { phase: "broken-off", job };
    case "standby":
      return job.ioStatus === "ok" ? { phase: "ready", job } : { phase: "stalled", job };
    case "paused":
      return { phase: "stalled", job };
    case "waiting":
    case "aborting":
    case "null":
      return { phase: "turning", job };
    default:
      return { phase: "mirroring", job };
  }
}

/**
 * No job that runs, the guest on the source, `current` at the destination: the guest was never let onto the target, if that is as
 * it was in `pending`, and the source still has its name or the one that the switch gave it.
 */
function neverLetGo(manifest: Manifest, names: readonly (FileStat | undefined)[], target: FileStat | undefined): Phase {
  const sourceThere = names.some((found) => found !== undefined && isFile(found, manifest.source));
  const targetAsItWas = target !== undefined && manifest.switched !== undefined && isUnchanged(target, manifest.switched);
  if (sourceThere && targetAsItWas) return { phase: "not-let-go" };
  const why =
    `the guest runs on ${manifest.source.active}, but its switch to ${manifest.destination.active} is recorded, and ` +
    `${sourceThere ? `${manifest.destination.active} was written to since` : `${manifest.source.active} does not have its name any more`}. ` +
    "Both files may hold writes that the other lacks. Compare them, keep both, and take away the manifests of the side that is wrong";
  return { phase: "contradiction", why };
}

async function phaseOfLayers({ site, key }: Evidence, layers: readonly MovedLayer[]): Promise<Phase> {
  const changed = await changedLayer(site, layers);
  if (changed) return { phase: "contradiction", why: changed };
  const states = await layerStates(
    site.host,
    layers.map(({ destination }) => destination),
    key,
  );
  // the base first: a copy's own header names the layer below it
  const missing = layers.findLastIndex((layer, index) => layer.coming === "copy" && states[index]?.state !== "ours");
  const layer = layers[missing];
  return layer ? { phase: "copying", layer } : { phase: "copied" };
}

/** A frozen file whose identity has changed stops everything. */
async function changedLayer(site: Site, layers: readonly MovedLayer[]): Promise<string | undefined> {
  const sources = await statFiles(
    site.host,
    layers.map(({ source }) => source),
    "follow",
  );
  const destinations = await statFiles(
    site.host,
    layers.map(({ destination }) => destination),
    "follow",
  );
  for (const [index, layer] of layers.entries()) {
    if (!unchanged(sources[index], layer.identity)) return frozenChanged(layer.source, layer.destination);
    if (layer.adopted && !unchanged(destinations[index], layer.adopted)) return frozenChanged(layer.destination, layer.source);
  }
  return undefined;
}

function unchanged(found: FileStat | undefined, recorded: FileIdentity): boolean {
  return found !== undefined && isUnchanged(found, recorded);
}

function frozenChanged(changed: string, twin: string): string {
  return `${changed} has changed since the move began, although it is a layer that nobody may write to; its twin is ${twin}. Find out who wrote to it; destroying the resource undoes the move`;
}

function strayed({ named }: Evidence, manifest: Manifest): string {
  return (
    `it runs on ${named}, but a move from ${manifest.source.active} to ${manifest.destination.active} was begun and not ended. ` +
    `If somebody moved the disk by hand, take away ${baseName(manifest.destination.active)} and the manifests of that move by hand too`
  );
}
