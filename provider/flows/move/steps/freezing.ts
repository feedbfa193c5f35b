/** Strategy snapshot: an overlay takes the guest's writes, so that everything below it holds still; and the two ways in which it is removed again. */

import { identityOf } from "../../../core/disk/chain.js";
import { jobNames, nodeNames } from "../../../core/disk/names.js";
import { baseName } from "../../../core/disk/paths.js";
import { BugError, isKind, UserError } from "../../../core/errors.js";
import { seeFiles } from "../../../host/file-seen.js";
import { createImage } from "../../../image/qemu-img.js";
import type { Manifest, MovedLayer } from "../../../journal/manifest.js";
import { writeRecords } from "../../../journal/records.js";
import { complaint, wordsOf } from "../../shared/complaint.js";
import { nodeAt, withStrangeTop } from "../../shared/former-nodes.js";
import { checkOpenedFile } from "../../shared/opened-file.js";
import { removeOwn } from "../../shared/own-images.js";
import type { RecordedDisk, Seen, SeenDisk, Site } from "../../shared/site.js";
import { imageLike, removeTarget, withProvedTarget } from "./mirroring.js";

type Overlay = NonNullable<Manifest["overlay"]>;

export function overlayOf({ disk, manifest }: RecordedDisk): Overlay {
  if (!manifest.overlay) throw new BugError(`${disk} is moved without an overlay, and a step was chosen that needs one.`);
  return manifest.overlay;
}

/**
 * Puts an overlay on top of every disk, at one point in time. `current` names the overlays before they are there: empty, they
 * read as what they stand on, so a boot from there is right before and after.
 */
export async function freeze(site: Site, disks: readonly RecordedDisk[]): Promise<void> {
  for (const disk of disks) await makeOverlay(site, disk);
  for (const disk of disks) {
    const written = { node: disk.image.activeNode, image: "former" } as const;
    await writeRecords(site.host, disk.key, { ...disk.manifest, written, current: overlayOf(disk).path });
  }
  for (const disk of disks) await openOverlay(site, disk);
  try {
    await site.guest.freeze(disks.map((disk) => ({ node: disk.image.activeNode, overlay: overlayOf(disk).node })));
  } catch (cause) {
    if (isKind(cause, "user")) throw await unfrozen(site, disks, cause);
    throw cause;
  }
}

/** All or none: QEMU refuses a node on which somebody has put an overlay meanwhile (bdrv_set_backing_hd() blocks what is a backing image, 7.2). */
async function unfrozen(site: Site, disks: readonly RecordedDisk[], cause: unknown): Promise<Error> {
  for (const { key, manifest } of disks) await writeRecords(site.host, key, { ...manifest, current: manifest.source.active });
  const { disks: devices } = await site.guest.look();
  const actives = disks.map(({ qdev }) => devices.find((device) => device.qdev === qdev)?.medium);
  const runsOn = actives.map((medium) => (medium?.kind === "image" ? medium.chain[0].path : "an unknown image")).join(", ");
  return complaint(site, {
    verb: "freeze",
    disk: disks.map(({ disk }) => disk).join(", "),
    why: wordsOf(cause),
    left: `The guest runs on ${runsOn}, which is current.`,
    advice: "Run `pulumi up` again, or `pulumi destroy` to undo the move.",
    cause,
  });
}

/** Made again each time: an overlay that an earlier run left there is empty, or the observation would have said so. */
export async function makeOverlay(site: Site, disk: RecordedDisk): Promise<void> {
  const { manifest, key } = disk;
  const overlay = overlayOf(disk);
  if (overlay.made) {
    // `current` may name it already
    delete overlay.made;
    manifest.current = manifest.source.active;
    await writeRecords(site.host, key, manifest);
  }
  await site.guest.closeNodes([overlay.node]);
  const kept = await removeOwn(site.host, { path: overlay.path, made: undefined, named: "by us", maker: "this move" });
  if (kept) throw complaint(site, { verb: "freeze", disk: disk.disk, why: `${overlay.path} ${kept.why}`, advice: kept.advice });
  const backing = { name: baseName(manifest.source.active), format: disk.image.creation.format };
  overlay.made = identityOf(await createImage(site.host, { ...imageLike(disk, manifest), path: overlay.path, format: "qcow2", backing }));
  await writeRecords(site.host, key, manifest);
}

async function openOverlay(site: Site, disk: RecordedDisk): Promise<void> {
  const { path, node, made } = overlayOf(disk);
  const { cache, detectZeroes } = disk.image;
  await site.guest.openOverlay(node, { path, format: "qcow2", cache, detectZeroes });
  const left = `The guest runs on ${disk.manifest.source.active}, as before.`;
  if (made) await checkOpenedFile(site, { verb: "freeze", disk: disk.disk, node, path, made, left });
}

/** The former active image is a frozen layer now, and moves as the others do. */
export async function recordFrozen(site: Site, disk: RecordedDisk): Promise<void> {
  const { manifest, key } = disk;
  const { landing, landingBacking: below } = overlayOf(disk);
  const [frozen] = await seeFiles(site.host, [manifest.source.active], "follow");
  const layer = disk.image.chain[1];
  if (!frozen || !layer)
    throw new UserError(`Unable to go on with the move of ${disk.disk}: its frozen image ${manifest.source.active} is not there.`);
  const first: MovedLayer = {
    ...{ source: manifest.source.active, destination: landing, format: layer.format, identity: identityOf(frozen), coming: "copy" },
    ...(below && (below.name !== layer.backingName || below.format !== layer.backingFormat) ? { rename: below } : {}),
  };
  await writeRecords(site.host, key, { ...manifest, layers: [first, ...manifest.layers] });
}

/** Shortens the chain after the pivot: the target's content goes down into the landed copy, or takes that copy up. */
export async function collapse(site: Site, seen: Seen, disk: RecordedDisk): Promise<void> {
  const { image, key } = disk;
  const speed = { maxBytesPerSecond: site.options.maxBytesPerSecond };
  if (overlayOf(disk).collapse === "commit") {
    const base = nodeAt(seen, disk, 1);
    await recordStrangeTop(site, seen, disk);
    return site.guest.startCommit(jobNames.commit(key), nodeNames.filter(key), { ...speed, top: image.activeNode, base });
  }
  const below = image.chain[1]?.backingName;
  const kept = image.chain.length > 2 ? { base: nodeAt(seen, disk, 2), ...(below === undefined ? {} : { backingName: below }) } : {};
  return site.guest.startPull(jobNames.blockpull(key), nodeNames.filter(key), { ...speed, top: image.activeNode, ...kept });
}

/** A pull that ended, and the chain is as it was. */
export function pullFailed(site: Site, disk: SeenDisk): Error {
  const left = `The guest runs on ${disk.manifest?.current}, which is current.`;
  const advice = "Look for I/O errors in QEMU's log and for free space, then run `pulumi up` again.";
  return complaint(site, { verb: "shorten the chain of", disk: disk.disk, why: "the pull ended without doing so", left, advice });
}

/** The way back: nothing of the destination is open any more, and the overlay's content goes down into the image that it stands on. */
export async function fold(site: Site, seen: Seen, disk: RecordedDisk): Promise<void> {
  const { key, image } = disk;
  const manifest = await withProvedTarget(site, seen, disk.manifest);
  await site.guest.closeNodes([manifest.destination.node, overlayOf(disk).landingNode]);
  await removeTarget(site, disk, manifest);
  const base = nodeAt(seen, disk, 1);
  await recordStrangeTop(site, seen, disk);
  await site.guest.startCommit(jobNames.commit(key), nodeNames.filter(key), { maxBytesPerSecond: 0, top: image.activeNode, base });
}

/** Before a commit takes the active image away. */
async function recordStrangeTop(site: Site, seen: Seen, disk: RecordedDisk): Promise<void> {
  const manifest = withStrangeTop(seen, disk, disk.manifest);
  if (manifest) await writeRecords(site.host, disk.key, manifest);
}
