/** Strategy snapshot of a guest that libvirt manages: its own snapshot puts the overlays on top, its own commit and pull take them away. */

import { isKind } from "../../../core/errors.js";
import type { ManagedGuest } from "../../../hypervisor/hypervisor.js";
import { writeRecords } from "../../../journal/records.js";
import { complaint, wordsOf } from "../../shared/complaint.js";
import type { RecordedDisk, Site } from "../../shared/site.js";
import { makeOverlay, overlayOf } from "../steps/freezing.js";
import { removeTarget } from "../steps/mirroring.js";

/**
 * `current` and the persistent definition name the overlays before they are there: empty, they read as what they stand on. So there is no
 * moment in which a start by the definition would find an image that lacks what the guest has written.
 */
export async function freezeManaged(site: Site, managed: ManagedGuest, disks: readonly RecordedDisk[]): Promise<void> {
  for (const disk of disks) await makeOverlay(site, disk);
  for (const disk of disks) await writeRecords(site.host, disk.key, { ...disk.manifest, current: overlayOf(disk).path });
  for (const disk of disks) {
    if (disk.image.definedAt !== undefined) await managed.redefine(disk.qdev, { path: overlayOf(disk).path, format: "qcow2" });
  }
  const overlays = disks.map((disk) => ({ disk: disk.qdev, path: overlayOf(disk).path }));
  await inWords(site, disks, "freeze", () => freezeOrTakeBack(site, managed, disks, overlays));
}

async function freezeOrTakeBack(
  site: Site,
  managed: ManagedGuest,
  disks: readonly RecordedDisk[],
  overlays: readonly { disk: string; path: string }[],
): Promise<void> {
  try {
    await managed.freeze(overlays);
  } catch (cause) {
    if (isKind(cause, "user")) for (const disk of disks) await takeBack(site, managed, disk);
    throw cause;
  }
}

/**
 * As long as the definition names an overlay on which the guest does not run, libvirt does not let it follow somebody else's snapshot
 * (qemuSnapshotDiskPrepareOne() follows only a definition that names the live image, 9.0): so it goes back to what the guest runs on.
 */
async function takeBack(site: Site, managed: ManagedGuest, disk: RecordedDisk): Promise<void> {
  const device = (await site.guest.look()).disks.find(({ qdev }) => qdev === disk.qdev);
  const { path } = overlayOf(disk);
  if (device?.medium.kind !== "image" || device.medium.chain[0].path === path) return;
  if (device.medium.definedAt === path) await managed.redefine(disk.qdev, device.medium.chain[0]);
  await writeRecords(site.host, disk.key, { ...disk.manifest, current: disk.manifest.source.active });
}

/** Shortens the chain after the pivot: the target's content goes down into the landed copy, or takes that copy up. */
export async function collapseManaged(site: Site, managed: ManagedGuest, disk: RecordedDisk): Promise<void> {
  const [top, landed, below] = disk.image.chain;
  const { maxBytesPerSecond } = site.options;
  await inWords(site, [disk], "shorten the chain of", async () => {
    if (overlayOf(disk).collapse === "pull") return void (await managed.startPull(disk.qdev, below?.path, maxBytesPerSecond));
    return managed.startCommit(disk.qdev, { top: top.path, base: landed?.path ?? overlayOf(disk).landing }, maxBytesPerSecond);
  });
}

/** The way back: nothing of the destination is open any more, and the overlay's content goes down into the image that it stands on. */
export async function foldManaged(site: Site, managed: ManagedGuest, disk: RecordedDisk): Promise<void> {
  const { manifest } = disk;
  await removeTarget(site, disk, manifest);
  const layers = { top: overlayOf(disk).path, base: manifest.source.active };
  await inWords(site, [disk], "undo the move of", () => managed.startCommit(disk.qdev, layers, 0));
}

async function inWords(site: Site, disks: readonly RecordedDisk[], verb: string, step: () => Promise<void>): Promise<void> {
  try {
    await step();
  } catch (cause) {
    throw complaint(site, {
      verb,
      disk: disks.map(({ disk }) => disk).join(", "),
      why: wordsOf(cause),
      left: "The guest runs on, and no write is lost.",
      advice: "Fix the reported problem, then run `pulumi up` again, or `pulumi destroy` to undo the move.",
      cause,
    });
  }
}
