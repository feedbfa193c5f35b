/** Where things are: the image in a drive, and which directories there are, however they are spelled. */

import { sameFile } from "../../core/disk/chain.js";
import { seeFiles } from "../../host/file-seen.js";
import { realPath } from "../../host/files.js";
import type { Host } from "../../host/host.js";
import type { DiskView, ImageView } from "../../hypervisor/hypervisor.js";
import { complaint } from "./complaint.js";
import type { Viewpoint } from "./site.js";

/** The image in a drive, or a sentence. */
export function imageOf(site: Viewpoint, disk: string, found: DiskView): ImageView {
  if (found.medium.kind === "image") return found.medium;
  const why = found.medium.kind === "none" ? "its drive is empty" : found.medium.why;
  throw complaint(site, { verb: "manage", disk, why, advice: "Name a disk whose chain is made of local qcow2 or raw files." });
}

/** Directories are the same if (dev, ino) are; the spelling does not matter. */
export async function sameDirectory(site: Viewpoint, one: string, other: string): Promise<"same" | "different"> {
  if (one === other) return "same";
  const [a, b] = await seeFiles(site.host, [one, other], "follow");
  return a && b && sameFile(a, b) ? "same" : "different";
}

/** Real paths of those directories that are there, each once: one that is missing is the preflight's to refuse. */
export async function existing(host: Host, directories: readonly string[]): Promise<string[]> {
  const stats = await seeFiles(host, directories, "follow");
  const real = new Set<string>();
  for (const [index, directory] of directories.entries()) {
    if (stats[index]?.kind === "directory") real.add(await realPath(host, directory));
  }
  return [...real];
}
