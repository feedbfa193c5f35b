/** Which of the images that a manifest names takes the guest's writes. */

import { isFile, sameFile } from "../../../core/disk/chain.js";
import { type DiskKey, standInNames } from "../../../core/disk/names.js";
import { baseName, directoryOf, within } from "../../../core/disk/paths.js";
import { type FileSeen, seeFiles } from "../../../host/file-seen.js";
import { realPath } from "../../../host/files.js";
import type { GuestProcess, GuestView, ImageView } from "../../../hypervisor/hypervisor.js";
import { imagesOf, type Manifest, type Standing, standings } from "../../../journal/manifest.js";
import type { Records } from "../../../journal/records.js";
import type { Viewpoint } from "../../shared/site.js";

/** All that one look has shown of a disk whose move is written down. */
export interface Evidence {
  site: Viewpoint;
  view: GuestView;
  process: () => Promise<GuestProcess | undefined>;
  image: ImageView;
  /** The active image as QEMU names it, made absolute. */
  named: string;
  key: DiskKey;
  records: Records;
}

/** What lies now under the names that the manifest knows; `away`: under the former image's name in quarantine. */
export type FilesNow = Partial<Record<Standing | "away", FileSeen | undefined>>;

export async function filesNow({ site, records }: Evidence): Promise<FilesNow> {
  const { manifest } = records;
  const named = Object.entries({ ...imagesOf(manifest), away: manifest.quarantine });
  const paths = named.map(([, path]) => path);
  const found = await seeFiles(site.host, paths, "follow");
  return Object.fromEntries(named.map(([name], index) => [name, found[index]]));
}

/**
 * If one of our nodes is open, it is the QEMU of the move, and node names decide: it knows what it has open, whatever the names on the host
 * lead to by now. So does the node that took the guest's writes when the manifest was written. Otherwise the open file decides: somebody
 * else's overlay is none of ours, and nothing is concluded from our nodes beside it.
 */
export async function standingOf(evidence: Evidence, now: FilesNow): Promise<Standing | "elsewhere"> {
  const { image, view, records } = evidence;
  const { written } = records.manifest;
  const nodes = nodesOf(records.manifest);
  const active = standings.find((standing) => nodes[standing] === image.activeNode);
  if (active) return active;
  const opened = Object.values(nodes);
  if (!view.nodes.some(({ name }) => opened.includes(name))) return standingByFile(evidence, now, standings);
  if (written?.node === image.activeNode) return written.image;
  // open beside the active image: that is somebody's own, perhaps on top of it. Gone: the disk was given to the guest again
  if (written && view.nodes.some(({ name }) => name === written.node)) return "elsewhere";
  if (written) return standingByFile(evidence, now, ["former", "overlay"]);
  if (await isRenamedFormer(evidence, now)) return "former";
  return standingByFile(evidence, now, ["former", "overlay"]);
}

/** Whether it is the QEMU in which we opened that image, as the one that takes the guest's writes: only the end of our job made it that. */
export function isOpenByUs({ image, records }: Evidence, standing: Standing): boolean {
  return nodesOf(records.manifest)[standing] === image.activeNode;
}

/** Whether a node of the move is open: then it is the QEMU in which the move has done its last step. */
export function isQemuOfMove({ view, records }: Evidence): boolean {
  const ours = Object.values(nodesOf(records.manifest));
  return view.nodes.some(({ name }) => ours.includes(name));
}

function nodesOf({ destination, overlay }: Manifest): Partial<Record<Standing, string>> {
  if (!overlay) return { target: destination.node };
  return { overlay: overlay.node, target: destination.node, landing: overlay.landingNode };
}

/** @param among of which images the name cannot lead astray: a link that a cut switch has re-pointed leads from the former image to the target */
async function standingByFile(
  { site, process, named, records }: Evidence,
  now: FilesNow,
  among: readonly Standing[],
): Promise<Standing | "elsewhere"> {
  const [active] = await seeFiles(site.host, [named], "follow");
  const open = (await process())?.openFiles;
  if (!active || (open && !open.has(`${active.dev}:${active.ino}`))) return "elsewhere";
  const known = among.find((standing) => {
    const file = now[standing];
    return file !== undefined && sameFile(file, active) && isOurs(records.manifest, standing, file);
  });
  return known ?? "elsewhere";
}

/**
 * Of a manifest of 0.1.0, which names no node: QEMU still calls the former image as it was called before a switch that was cut, and
 * finds it no more under that name, because the switch has renamed it or re-pointed the link.
 */
async function isRenamedFormer({ site, process, named, records }: Evidence, now: FilesNow): Promise<boolean> {
  const { source, quarantine, link } = records.manifest;
  const name = baseName(source.active);
  const real = within(await realPath(site.host, directoryOf(named)), baseName(named));
  const isItsName = [named, real].includes(source.active) || (link !== undefined && named === within(link.path, name));
  const there = [now.former, now.away].find((found) => found !== undefined && isFile(found, source));
  if (!isItsName || !there) return false;
  const [active, standIn] = await seeFiles(site.host, [named, standInNames(quarantine).empty], "follow");
  const leadsAway = active === undefined || [standIn, now.target].some((file) => file !== undefined && sameFile(file, active));
  const open = (await process())?.openFiles;
  return leadsAway && (open === undefined || open.has(`${there.dev}:${there.ino}`));
}

/** A name of ours with another file under it is no image of ours. The landed copy's own record is its sidecar, so its name is enough. */
function isOurs({ source, destination, overlay }: Manifest, standing: Standing, file: FileSeen): boolean {
  const recorded = { former: source, overlay: overlay?.made, target: destination.file, landing: file }[standing];
  return recorded !== undefined && isFile(file, recorded);
}
