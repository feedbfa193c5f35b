/** The mirror of the active layer: its target and its job. */

import { whichOf } from "../../../core/disk/chain.js";
import type { ChainFiles } from "../../../core/disk/chain-options.js";
import { fileNames, isOverlayName, jobNames, nodeNames } from "../../../core/disk/names.js";
import { baseName, within } from "../../../core/disk/paths.js";
import { BugError } from "../../../core/errors.js";
import { seeFiles } from "../../../host/file-seen.js";
import { removeFile, renameWithoutReplacing } from "../../../host/files.js";
import type { TargetOptions } from "../../../hypervisor/block-steps.js";
import { createImage } from "../../../image/qemu-img.js";
import { frozenFormat, type Manifest } from "../../../journal/manifest.js";
import { writeRecords } from "../../../journal/records.js";
import { complaint } from "../../shared/complaint.js";
import { namedNodes } from "../../shared/former-nodes.js";
import { belowTop, checkOpened } from "../../shared/opened-chain.js";
import { checkOpenedFile } from "../../shared/opened-file.js";
import { type Kept, provedByNode, removeOwn } from "../../shared/own-images.js";
import type { RecordedDisk, Seen, SeenDisk, Site } from "../../shared/site.js";
import { filesBelowTarget } from "./chain-files.js";

/** A fresh target with its copied chain, and the job onto it. A target that a mirror left there when QEMU ended is replaced. */
export async function startMirror(site: Site, { view }: Seen, disk: SeenDisk, manifest: Manifest): Promise<void> {
  const { node, backing } = manifest.destination;
  const { overlay } = manifest;
  await site.guest.closeNodes([node, ...(overlay ? [overlay.landingNode] : [])]);
  await removeTarget(site, disk, manifest);
  if (!isOurs(disk.image.activeNode, manifest)) manifest.written = { node: disk.image.activeNode, image: standsOn(disk) };
  manifest.formerNodes = namedNodes(view, disk.image); // a guest that was started again since the move began has others
  await makeTarget(site, disk, manifest);
  const { image, key } = disk;
  const like = { format: image.creation.format, cache: image.cache, detectZeroes: image.detectZeroes };
  await openChain(site, { ...disk, manifest }, like);
  await site.guest.startMirror(jobNames.mirror(key), node, nodeNames.filter(key), {
    source: image.activeNode,
    sync: backing ? "top" : "full",
    copyMode: site.options.copyMode,
    maxBytesPerSecond: site.options.maxBytesPerSecond,
  });
}

/** The target and all that it stands on, as the manifest has it. What an overlay is committed into later is a node that we know by name. */
async function openChain(site: Site, disk: RecordedDisk, like: Omit<TargetOptions, "path">): Promise<void> {
  const { destination, overlay, current } = disk.manifest;
  const { node, target: path } = destination;
  const chain: ChainFiles = [{ path, format: like.format }, ...filesBelowTarget(disk)];
  const left = `The guest runs on ${current}, as before; the copied layers are kept.`;
  const opening = { verb: "move", disk: disk.disk, chain, left };
  const { below } = await belowTop(site, opening);
  if (overlay?.collapse === "commit") {
    const landing = { ...like, path: overlay.landing, format: frozenFormat(disk.manifest), ...(below && { below: below.slice(1) }) };
    await site.guest.openLayer(overlay.landingNode, landing);
    await site.guest.openTarget(node, { ...like, path, backing: overlay.landingNode });
  } else await site.guest.openTarget(node, { ...like, path, ...(below && { below }) });
  await checkOpened(site, { ...opening, node });
  if (destination.file) await checkOpenedFile(site, { ...opening, node, path, made: destination.file });
}

/** A node of this move tells by its name which image it is. */
function isOurs(node: string, { destination, overlay }: Manifest): boolean {
  return [destination.node, overlay?.node, overlay?.landingNode].includes(node);
}

/** A mirror starts from one of two images. */
function standsOn({ standing, disk }: SeenDisk): "former" | "overlay" {
  if (standing === "former" || standing === "overlay") return standing;
  throw new BugError(`A mirror was chosen for ${disk}, which runs on the ${standing}.`);
}

/**
 * Removes the target if the manifest calls it ours: under the name that only we give, or under its own name if it is the file
 * that was recorded when it was made.
 */
export async function removeTarget(site: Site, disk: SeenDisk, manifest: Manifest): Promise<void> {
  await removeFile(site.host, newborn(disk, manifest));
  const { target, file } = manifest.destination;
  const [there] = await seeFiles(site.host, [target], "keep-links");
  if (!there) return;
  const named = isOverlayName(disk.key, baseName(target)) ? "by us" : "by the user";
  const kept = file ? await removeOwn(site.host, { path: target, made: file, named, maker: "this move" }) : neverMade;
  if (!kept) return;
  const why = `${target} ${kept.why}`;
  const left = `The guest runs on ${manifest.current}, as before.`;
  throw complaint(site, { verb: "go on with the move of", disk: disk.disk, why, left, advice: kept.advice });
}

const neverMade: Kept = { why: "is not the file that this move made there", advice: "Take it away, then run again." };

/** Before our nodes are closed: afterwards nothing proves what 0.1.0 has made. */
export async function withProvedTarget({ host, guest }: Site, { view }: Seen, manifest: Manifest): Promise<Manifest> {
  const { target, file, node } = manifest.destination;
  if (!file || file.identity) return manifest;
  const proved = await provedByNode(host, { path: target, made: file }, { view, node, process: await guest.process() });
  return { ...manifest, destination: { ...manifest.destination, file: proved } };
}

/** Made under our own name, written down by what it is, and only then given its name: so the name never lies. */
async function makeTarget(site: Site, disk: SeenDisk, manifest: Manifest): Promise<void> {
  const path = newborn(disk, manifest);
  const { backing, target } = manifest.destination;
  const made = await createImage(site.host, { ...imageLike(disk, manifest), path, ...(backing && { backing }) });
  manifest.destination.file = whichOf(made);
  await writeRecords(site.host, disk.key, manifest);
  await renameWithoutReplacing(site.host, { from: path, to: target, known: made });
}

/** What an image must be made with to be like the active one. */
export function imageLike({ image }: SeenDisk, { source }: Manifest) {
  const { format, options } = image.creation;
  return { format, options, virtualBytes: image.chain[0].virtualBytes, like: source.active };
}

function newborn(disk: SeenDisk, manifest: Manifest): string {
  return within(manifest.destination.directory, fileNames.newborn(disk.key));
}
