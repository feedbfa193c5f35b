/** The mirror of the active layer: its target and its job. */

import { whichOf } from "../../../core/disk/chain.js";
import { fileNames, isOverlayName } from "../../../core/disk/names.js";
import { baseName, within } from "../../../core/disk/paths.js";
import { BugError } from "../../../core/errors.js";
import { seeFiles } from "../../../host/file-seen.js";
import { makeAnew, removeFile, renameWithoutReplacing } from "../../../host/files.js";
import { type MirrorTarget, shutOff } from "../../../hypervisor/hypervisor.js";
import { createImage } from "../../../image/qemu-img.js";
import type { Manifest } from "../../../journal/manifest.js";
import { writeRecords } from "../../../journal/records.js";
import { complaint, inWords } from "../../shared/complaint.js";
import { isToldOf, namedNodes } from "../../shared/former-nodes.js";
import { type Kept, provedByNode, removeOwn } from "../../shared/own-images.js";
import type { Seen, SeenDisk, Site } from "../../shared/site.js";
import { filesBelowTarget } from "./chain-files.js";

/** A fresh target with its copied chain, and the job onto it. A target that a mirror left there when it ended is replaced. */
export async function startMirror(site: Site, { view }: Seen, disk: SeenDisk, manifest: Manifest): Promise<void> {
  const { destination, overlay } = manifest;
  const { node, backing, target: path } = destination;
  const { image, key, qdev } = disk;
  if (view.status === shutOff) throw isShutOff(site, disk, manifest);
  await site.guest.closeNodes([node, ...(overlay ? [overlay.landingNode] : [])]);
  await removeTarget(site, disk, manifest);
  if (isToldOf(view, image) && !isOurs(image.activeNode, manifest)) manifest.written = { node: image.activeNode, image: standsOn(disk) };
  manifest.formerNodes = namedNodes(view, image); // a guest that was started again since the move began has others
  await makeTarget(site, disk, manifest);
  const target: MirrorTarget = {
    ...{ node, chain: [{ path, format: image.creation.format }, ...filesBelowTarget({ ...disk, manifest })] },
    ...{ cache: image.cache, detectZeroes: image.detectZeroes },
    ...(destination.file && { made: destination.file }),
    // what an overlay is committed into later is a node that we know by name
    ...(overlay?.collapse === "commit" && { nodeBelow: overlay.landingNode }),
  };
  const { copyMode, maxBytesPerSecond } = site.options;
  const sync = backing ? "top" : "full";
  const left = `The guest runs on ${manifest.current}, which is current; the copied layers are kept.`;
  await inWords(site, { verb: "move", disk: disk.disk, left, tellsCurrent: true }, () =>
    site.guest.mirror({ key, qdev }, target, { source: image.activeNode, sync, copyMode, maxBytesPerSecond }),
  );
}

function isShutOff(site: Site, { disk }: SeenDisk, { current }: Manifest): Error {
  const left = `It boots from ${current}, which is current; the copied layers are kept.`;
  return complaint(site, {
    verb: "move",
    disk,
    why: "its domain is shut off",
    left,
    tellsCurrent: true,
    advice: "Start it, then run `pulumi up` again.",
  });
}

/** Nobody tells why a copy ended: it is gone, and the guest where it was. */
export function copyVanished(site: Site, { disk }: SeenDisk, { current, destination }: Manifest): Error {
  return complaint(site, {
    verb: "move",
    disk,
    why: `the copy onto ${destination.target} ended by itself, and libvirt does not say why; most often the destination is full`,
    left: `The guest runs on ${current}, which is current; the copied layers are kept.`,
    tellsCurrent: true,
    advice:
      "Look at the free space there and at libvirtd's log, then run `pulumi up` again: only the mirror starts again from the beginning.",
  });
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
async function makeTarget({ host, guest }: Site, disk: SeenDisk, manifest: Manifest): Promise<void> {
  const path = newborn(disk, manifest);
  const { backing, target } = manifest.destination;
  const made =
    guest.traits.mirrorsOnto === "image"
      ? await createImage(host, { ...imageLike(disk, manifest), path, ...(backing && { backing }) })
      : await makeAnew(host, path, { content: "", like: manifest.source.active });
  manifest.destination.file = whichOf(made);
  await writeRecords(host, disk.key, manifest);
  await renameWithoutReplacing(host, { from: path, to: target, known: made });
}

/** What an image must be made with to be like the active one. */
export function imageLike({ image }: SeenDisk, { source }: Manifest) {
  const { format, options } = image.creation;
  return { format, options, virtualBytes: image.chain[0].virtualBytes, like: source.active };
}

function newborn(disk: SeenDisk, manifest: Manifest): string {
  return within(manifest.destination.directory, fileNames.newborn(disk.key));
}
