/** What libvirt knows of a domain that a move would break: refused before the first byte, unless `loses` names it. */

import { jobNamesOf } from "../../../core/disk/names.js";
import { shutOff } from "../../../hypervisor/hypervisor.js";
import { complaint } from "../../shared/complaint.js";
import type { Seen, SeenDisk, Site } from "../../shared/site.js";

/** Another disk that has this one's image by the persistent definition. */
function ownerByDefinition({ view }: Seen, { qdev, image }: SeenDisk): string | undefined {
  return view.disks.find(({ qdev: other, medium }) => other !== qdev && medium.kind === "image" && medium.definedAt === image.chain[0].path)
    ?.qdev;
}

export async function checkBurdens(site: Site, seen: Seen, disk: SeenDisk): Promise<void> {
  const refuse = (why: string, advice: string) => complaint(site, { verb: "move", disk: disk.disk, why, advice });
  const { loses, strategy } = site.options;
  if (seen.view.status === shutOff) throw refuse("its domain is shut off", "Start it: only the disks of running guests are moved.");
  const owner = ownerByDefinition(seen, disk);
  if (owner !== undefined) {
    const why = `its persistent definition gives ${disk.image.chain[0].path} to ${owner}, so the next start has these disks swapped`;
    throw refuse(why, "Correct the definition, or shut the guest down and start it by that, then run again.");
  }
  const burdens = await site.guest.burdens(disk.qdev);
  const [forbidden] = burdens.forbids;
  if (forbidden !== undefined) throw refuse(forbidden, "Take that out of its definition, or leave the disk where it is.");
  const own = seen.view.jobs.filter(({ id }) => jobNamesOf(disk.key).includes(id)); // libvirt's names: whose job it is nobody tells
  const jobs = [...burdens.jobs, ...own.flatMap(({ target }) => (target === undefined ? [] : [`a copy onto ${target}`]))];
  if (burdens.jobs.length > 0)
    throw refuse(`somebody else's job runs on it (${jobs.join(", ")})`, "Let it end, or cancel it, then run again.");
  if (burdens.checkpoints.length > 0 && strategy === "snapshot") {
    const why = `its domain has checkpoints (${burdens.checkpoints.join(", ")}), which strategy "snapshot" does not carry through its commit or pull`;
    throw refuse(why, 'Delete them (`virsh checkpoint-delete`), or use strategy "mirror" with `loses`.');
  }
  if (burdens.checkpoints.length > 0 && !loses.includes("bitmaps")) {
    const why = `its domain has checkpoints (${burdens.checkpoints.join(", ")}), whose bitmaps a mirror does not carry`;
    throw refuse(why, 'Add "bitmaps" to `loses` if the next backup may be a full one.');
  }
  if (burdens.snapshots.length > 0 && !loses.includes("snapshot-metadata")) {
    const why = `its domain has snapshots (${burdens.snapshots.join(", ")}), whose definitions name the disk where it is now`;
    throw refuse(why, 'Delete them (`virsh snapshot-delete`), or add "snapshot-metadata" to `loses` if they may become useless.');
  }
}
