/** Which of the images that a manifest names takes the guest's writes. */

import { isFile, sameFile } from "../../disk/chain.js";
import type { DiskKey } from "../../disk/names.js";
import { type FileStat, statFiles } from "../../host/files.js";
import type { GuestProcess, GuestView, ImageView } from "../../hypervisor/hypervisor.js";
import { imagesOf, type Manifest, type Standing, standings } from "../record/manifest.js";
import type { Records } from "../record/records.js";
import type { Viewpoint } from "../site.js";

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
export type FilesNow = Partial<Record<Standing | "away", FileStat | undefined>>;

export async function filesNow({ site, records }: Evidence): Promise<FilesNow> {
  const { manifest } = records;
  const named = Object.entries({ ...imagesOf(manifest), away: manifest.quarantine });
  const paths = named.map(([, path]) => path);
  const found = await statFiles(site.host, paths, "follow");
  return Object.fromEntries(named.map(([name], index) => [name, found[index]]));
}

/**
 * Our node names tell as long as it is the QEMU in which we opened them: it knows what it has open, whatever the names on the host
 * lead to by now. In a QEMU that was started since, none of them is there, and the file that it has open tells.
 */
export async function standingOf(evidence: Evidence, now: FilesNow): Promise<Standing | "elsewhere"> {
  const { image, view, records } = evidence;
  const nodes = nodesOf(records.manifest);
  const active = standings.find((standing) => nodes[standing] === image.activeNode);
  if (active) return active;
  const opened = Object.values(nodes);
  const hasOurs = view.nodes.some(({ name }) => opened.includes(name));
  if (hasOurs && !records.manifest.overlay) return "former";
  const byFile = await standingByFile(evidence, now);
  // a switch that was cut may have taken the former image's name away; a guest that was started again from the overlay has that open by its own
  return hasOurs && byFile !== "overlay" ? "former" : byFile;
}

/** Whether it is the QEMU in which we opened that image, as the one that takes the guest's writes: only the end of our job made it that. */
export function isOpenByUs({ image, records }: Evidence, standing: Standing): boolean {
  return nodesOf(records.manifest)[standing] === image.activeNode;
}

function nodesOf({ destination, overlay }: Manifest): Partial<Record<Standing, string>> {
  if (!overlay) return { target: destination.node };
  return { overlay: overlay.node, target: destination.node, landing: overlay.landingNode };
}

async function standingByFile({ site, process, named, records }: Evidence, now: FilesNow): Promise<Standing | "elsewhere"> {
  const [active] = await statFiles(site.host, [named], "follow");
  const open = (await process())?.openFiles;
  if (!active || (open && !open.has(`${active.dev}:${active.ino}`))) return "elsewhere";
  const known = standings.find((standing) => {
    const file = now[standing];
    return file !== undefined && sameFile(file, active) && isOurs(records.manifest, standing, file);
  });
  return known ?? "elsewhere";
}

/** A name of ours with another file under it is no image of ours. The landed copy's own record is its sidecar, so its name is enough. */
function isOurs({ source, destination, overlay }: Manifest, standing: Standing, file: FileStat): boolean {
  const recorded = { former: source, overlay: overlay?.made, target: destination.file, landing: file }[standing];
  return recorded !== undefined && isFile(file, recorded);
}
