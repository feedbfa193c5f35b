/** Strategy snapshot: an overlay takes the guest's writes, so that everything below it holds still; and the two ways in which it is removed again. */

import { identityOf, isFile, sameFile } from "../../../core/disk/chain.js";
import { baseName, within } from "../../../core/disk/paths.js";
import { BugError, isKind, UserError } from "../../../core/errors.js";
import { seeFiles } from "../../../host/file-seen.js";
import type { FreezingDisk } from "../../../hypervisor/hypervisor.js";
import { createImage } from "../../../image/qemu-img.js";
import type { Manifest, MovedLayer } from "../../../journal/manifest.js";
import { writeRecords } from "../../../journal/records.js";
import { adviceOf, complaint, inWords, wordsOf } from "../../shared/complaint.js";
import { isToldOf, withStrangeTop } from "../../shared/former-nodes.js";
import { removeOwn } from "../../shared/own-images.js";
import type { RecordedDisk, Seen, SeenDisk, Site } from "../../shared/site.js";
import { imageLike, removeTarget, withProvedTarget } from "./mirroring.js";

type Overlay = NonNullable<Manifest["overlay"]>;

export function overlayOf({ disk, manifest }: Pick<RecordedDisk, "disk" | "manifest">): Overlay {
  if (!manifest.overlay) throw new BugError(`${disk} is moved without an overlay, and a step was chosen that needs one.`);
  return manifest.overlay;
}

/**
 * Puts an overlay on top of every disk, at one point in time. `current` and a persistent definition name the overlays before they are there:
 * empty, they read as what they stand on, so a boot from there is right before and after.
 */
export async function freeze(site: Site, { view }: Seen, disks: readonly RecordedDisk[]): Promise<void> {
  for (const disk of disks) await makeOverlay(site, disk);
  for (const disk of disks) {
    const written = { node: disk.image.activeNode, image: "former" } as const;
    const told = isToldOf(view, disk.image) ? { written } : {};
    await writeRecords(site.host, disk.key, { ...disk.manifest, ...told, current: overlayOf(disk).path });
  }
  for (const { qdev, image, ...disk } of disks)
    if (image.definedAt !== undefined) await site.guest.redefine(qdev, { path: overlayOf(disk).path, format: "qcow2" });
  try {
    await site.guest.freeze(disks.map(freezing));
  } catch (cause) {
    if (isKind(cause, "user")) throw await unfrozen(site, disks, cause);
    throw cause;
  }
}

function freezing(disk: RecordedDisk): FreezingDisk {
  const { qdev, image } = disk;
  const { activeNode, cache, detectZeroes } = image;
  const { node, path, made } = overlayOf(disk);
  return { qdev, activeNode, cache, detectZeroes, overlay: { node, path, ...(made && { made }) } };
}

/** All or none; but a hypervisor may have done what it says that it refused. */
async function unfrozen(site: Site, disks: readonly RecordedDisk[], cause: unknown): Promise<Error> {
  let areAllBack = true;
  for (const disk of disks) areAllBack = (await takeBack(site, disk)) && areAllBack;
  const sources = disks.map(({ manifest }) => manifest.source.active).join(", ");
  const where = areAllBack
    ? { left: `The guest runs on ${sources}, which is current.`, tellsCurrent: true }
    : { left: "Not all disks are seen on their former images." };
  const advice = adviceOf(cause) ?? "Run `pulumi up` again, or `pulumi destroy` to undo the move.";
  return complaint(site, { verb: "freeze", disk: disks.map(({ disk }) => disk).join(", "), why: wordsOf(cause), ...where, advice, cause });
}

/**
 * As long as the definition names an overlay on which the guest does not run, libvirt does not let it follow somebody else's snapshot
 * (qemuSnapshotDiskPrepareOne() follows only a definition that names the live image, 9.0): so it goes back to what the guest runs on.
 * `current` stays on the overlay unless the guest's whole chain is seen without it: empty, it reads as what it stands on, and somebody else's may
 * stand on it.
 * @returns whether the guest is on the former image
 */
async function takeBack(site: Site, disk: RecordedDisk): Promise<boolean> {
  const { disks } = await site.guest.look();
  const medium = disks.find(({ qdev }) => qdev === disk.qdev)?.medium;
  if (medium?.kind !== "image") return false;
  const [active] = medium.chain;
  const { path } = overlayOf(disk);
  const { source } = disk.manifest;
  const folder = (await site.guest.process())?.workingDirectory ?? "/";
  const layers = medium.chain.map((layer) => within(folder, layer.path));
  const [overlay, ...live] = await seeFiles(site.host, [path, ...layers], "follow");
  const isElsewhere = overlay && live.every((layer) => layer && !sameFile(layer, overlay));
  const [runsOn] = live;
  if (!isElsewhere || !runsOn) return false;
  if (medium.definedAt === path) await site.guest.redefine(disk.qdev, active);
  await writeRecords(site.host, disk.key, { ...disk.manifest, current: source.active });
  return isFile(runsOn, source);
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
  const { image, key, qdev } = disk;
  const overlay = overlayOf(disk);
  const [active, landed, below] = image.chain;
  const top = { node: image.activeNode, path: active.path };
  const { maxBytesPerSecond } = site.options;
  const told = { verb: "shorten the chain of", disk: disk.disk, left: goesOn };
  if (overlay.collapse === "commit") {
    await recordStrangeTop(site, seen, disk);
    const base = { depth: 1, path: landed?.path ?? overlay.landing };
    return inWords(site, told, () => site.guest.commit({ key, qdev }, { top, base, maxBytesPerSecond }));
  }
  const base = below && { base: { depth: 2, path: below.path } };
  const named = landed?.backingName === undefined ? {} : { backingName: landed.backingName };
  await inWords(site, told, () => site.guest.pull({ key, qdev }, { top, ...base, ...named, maxBytesPerSecond }));
}

const goesOn = "The guest runs on, and no write is lost.";

/** A pull that ended, and the chain is as it was. */
export function pullFailed(site: Site, disk: SeenDisk): Error {
  const left = `The guest runs on ${disk.manifest?.current}, which is current.`;
  const advice = "Look for I/O errors in QEMU's log and for free space, then run `pulumi up` again.";
  return complaint(site, {
    verb: "shorten the chain of",
    disk: disk.disk,
    why: "the pull ended without doing so",
    left,
    tellsCurrent: true,
    advice,
  });
}

/** The way back: nothing of the destination is open any more, and the overlay's content goes down into the image that it stands on. */
export async function fold(site: Site, seen: Seen, disk: RecordedDisk): Promise<void> {
  const { key, qdev, image } = disk;
  const manifest = await withProvedTarget(site, seen, disk.manifest);
  await site.guest.closeNodes([manifest.destination.node, overlayOf(disk).landingNode]);
  await removeTarget(site, disk, manifest);
  const [active, former] = image.chain;
  const top = { node: image.activeNode, path: active.path };
  const base = { depth: 1, path: former?.path ?? manifest.source.active };
  await recordStrangeTop(site, seen, disk);
  await inWords(site, { verb: "undo the move of", disk: disk.disk, left: goesOn }, () =>
    site.guest.commit({ key, qdev }, { top, base, maxBytesPerSecond: 0 }),
  );
}

/** Before a commit takes the active image away. */
async function recordStrangeTop(site: Site, seen: Seen, disk: RecordedDisk): Promise<void> {
  const manifest = withStrangeTop(seen, disk, disk.manifest);
  if (manifest) await writeRecords(site.host, disk.key, manifest);
}
