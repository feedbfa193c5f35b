/** The mirror of a guest that libvirt manages: the same files as QMP's, made by libvirt's own copy (decisions/0002). */

import { whichOf } from "../../../core/disk/chain.js";
import { fileNames } from "../../../core/disk/names.js";
import { within } from "../../../core/disk/paths.js";
import { makeAnew, renameWithoutReplacing } from "../../../host/files.js";
import { type ManagedGuest, shutOff } from "../../../hypervisor/hypervisor.js";
import type { Manifest } from "../../../journal/manifest.js";
import { writeRecords } from "../../../journal/records.js";
import { complaint, wordsOf } from "../../shared/complaint.js";
import type { Outcome } from "../../shared/outcome.js";
import type { SeenDisk, Site } from "../../shared/site.js";
import { filesBelowTarget } from "../steps/chain-files.js";
import { removeTarget } from "../steps/mirroring.js";

/** Onto an empty target, with the whole copied chain below it. A target that an ended mirror left there is replaced. */
export async function startManagedCopy(site: Site, managed: ManagedGuest, disk: SeenDisk, manifest: Manifest): Promise<void> {
  if ((await site.guest.look()).status === shutOff) {
    const left = `It boots from ${manifest.source.active}, which is current; the copied layers are kept.`;
    throw complaint(site, {
      verb: "move",
      disk: disk.disk,
      why: "its domain is shut off",
      left,
      advice: "Start it, then run `pulumi up` again.",
    });
  }
  await removeTarget(site, disk, manifest);
  await makeEmptyTarget(site, disk, manifest);
  const below = filesBelowTarget({ ...disk, manifest });
  const target = { path: manifest.destination.target, format: disk.image.creation.format, below };
  try {
    await managed.startCopy(disk.qdev, target, site.options);
  } catch (cause) {
    const left = `The guest runs on ${manifest.source.active}, which is current; the copied layers are kept.`;
    throw complaint(site, {
      verb: "move",
      disk: disk.disk,
      why: wordsOf(cause),
      left,
      advice: "Fix the reported problem, then run `pulumi up` again.",
      cause,
    });
  }
}

/**
 * libvirt makes the image, with its own creation options, in a file that is there already if that is empty
 * (qemuDomainBlockCopyValidateMirror(), 9.0), and keeps its inode: so what is ours is written down before it has its name.
 */
async function makeEmptyTarget(site: Site, disk: SeenDisk, manifest: Manifest): Promise<void> {
  const path = within(manifest.destination.directory, fileNames.newborn(disk.key));
  const made = await makeAnew(site.host, path, { content: "", like: manifest.source.active });
  manifest.destination.file = whichOf(made);
  await writeRecords(site.host, disk.key, manifest);
  await renameWithoutReplacing(site.host, { from: path, to: manifest.destination.target, known: made });
}

/** libvirt tells nobody why a copy ended: it is gone, and the guest on the source. @see qemuMonitorJSONBlockdevMirror(): no on-target-error */
export function copyVanished(site: Site, disk: SeenDisk): Error {
  const { source, destination } = disk.manifest ?? {};
  return complaint(site, {
    verb: "move",
    disk: disk.disk,
    why: `the copy onto ${destination?.target} ended by itself, and libvirt does not say why; most often the destination is full`,
    left: `The guest runs on ${source?.active}, which is current; the copied layers are kept.`,
    advice:
      "Look at the free space there and at libvirtd's log, then run `pulumi up` again: only the mirror starts again from the beginning.",
  });
}

/** How the active image would name what it stands on, if that were ours to write. */
function wantedName({ destination, overlay }: Manifest): string | undefined {
  return (overlay && overlay.collapse !== "none" ? overlay.landingBacking : destination.backing)?.name;
}

/** After the last switch: the next start must find the disk too, whatever became of the switch's own end. What libvirt leaves is told. */
export async function settleDefinition({ guest }: Site, disk: SeenDisk, manifest: Manifest, outcome: Outcome): Promise<void> {
  const { managed } = guest;
  if (!managed) return;
  const { definedAt, chain } = disk.image;
  const [active] = chain;
  if (definedAt !== undefined && definedAt !== active.path) await managed.redefine(disk.qdev, active);
  const name = active.backingName;
  if (name?.startsWith("/") && !wantedName(manifest)?.startsWith("/"))
    outcome.left(disk.disk, `${active.path} names ${name} by its full path: libvirt writes no relative names`);
  for (const file of await managed.staying()) outcome.left(disk.disk, file);
}
