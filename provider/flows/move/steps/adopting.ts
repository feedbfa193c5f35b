/** A lower layer that lies at the destination already, and that no move stands on: taken as it is, once it is seen to be the same. */

import { type FileIdentity, identityOf } from "../../../core/disk/chain.js";
import { nodeNames } from "../../../core/disk/names.js";
import { isEqual } from "../../../core/equal.js";
import { BugError, messageOf } from "../../../core/errors.js";
import { seeFiles } from "../../../host/file-seen.js";
import { type Deviation, deviationsIn } from "../../../image/chain-headers.js";
import { compareImages } from "../../../image/compare.js";
import type { Manifest, MovedLayer } from "../../../journal/manifest.js";
import { writeRecords } from "../../../journal/records.js";
import { complaint, wordsOf } from "../../shared/complaint.js";
import type { RecordedDisk, SeenDisk, Site } from "../../shared/site.js";
import { filesFrom } from "./chain-files.js";

/**
 * The move was drafted to join another one's copy, and that one has ended meanwhile: its file stays, without anybody who stands on it.
 * From here on it is what the draft of a moment later would have found.
 * @param left what a refusal says of how things are left
 */
export async function adoptInstead(site: Site, disk: RecordedDisk, layer: MovedLayer, left: string): Promise<void> {
  const coming = (each: MovedLayer): MovedLayer => (each.destination === layer.destination ? { ...each, coming: "adopt" } : each);
  const manifest = { ...disk.manifest, layers: disk.manifest.layers.map(coming) };
  await writeRecords(site.host, disk.key, { ...manifest, layers: await compareAdopted(site, disk, { manifest, left }) });
}

/**
 * A copy lies there on which other moves stand, and it is not proved that it is one of this layer: it may be shared if it holds the same.
 * @returns what was compared
 */
export async function compareShared(site: Site, disk: RecordedDisk, layer: MovedLayer): Promise<FileIdentity> {
  const coming = (each: MovedLayer): MovedLayer["coming"] => (each.destination === layer.destination ? "adopt" : "copy");
  const layers = disk.manifest.layers.map((each) => ({ ...each, coming: coming(each) }));
  const left = "The guest runs on the source as before.";
  const advice = "Let the other move end that keeps a copy there, or give one of the two layers another name, then run again.";
  const compared = await compareAdopted(site, disk, { manifest: { ...disk.manifest, layers }, left, advice });
  const adopted = compared.find(({ destination }) => destination === layer.destination)?.adopted;
  if (!adopted) throw new BugError(`${layer.destination} was compared, and nothing was written down of it.`);
  return adopted;
}

interface Adopting {
  manifest: Manifest;
  /** What a refusal says of how things are left, and what to do. */
  left?: string;
  advice?: string;
}

/**
 * A lower layer that is at the destination already is adopted if a guest would read the same from it: QEMU holds it open, so that
 * nobody writes to it meanwhile. The topmost adopted layer is read with all below it, so one comparison covers them.
 */
export async function compareAdopted(site: Site, disk: SeenDisk, { manifest, left, ...told }: Adopting): Promise<MovedLayer[]> {
  const top = manifest.layers.find(({ coming }) => coming === "adopt");
  if (!top) return manifest.layers;
  const node = nodeNames.held(disk.key, manifest.layers.indexOf(top) + 1);
  const { advice = `Take ${top.destination} away, or give it another name.` } = told;
  const refuse = (why: string, cause?: unknown) =>
    complaint(site, { verb: "move", disk: disk.disk, why, ...(left !== undefined && { left }), advice, cause });
  const deviation = await newDeviation(site, { ...disk, manifest }, top);
  if (deviation) throw refuse(`${top.destination} already exists, and the header of ${deviation.layer.path} ${deviation.why}`);
  await site.guest.closeNodes([node]);
  try {
    await site.guest.hold(node, top.destination, top.format);
  } catch (cause) {
    throw refuse(`${top.destination} already exists, and QEMU cannot open it (${wordsOf(cause)})`, cause);
  }
  try {
    site.run.progress(`${disk.disk} comparing ${top.destination} with its source`);
    const layers = await withIdentities(site, manifest.layers, refuse);
    const verdict = await compareLayer(site, { ...disk, manifest }, top).catch((cause: unknown) => {
      throw refuse(`${top.destination} already exists, and cannot be read as ${top.source} is (${messageOf(cause)})`, cause);
    });
    if (verdict !== "same") throw refuse(`${top.destination} already exists with other content than ${top.source} (${verdict.differs})`);
    if (!isEqual(layers, await withIdentities(site, manifest.layers, refuse)))
      throw refuse(`${top.destination} already exists, and somebody writes to it`);
    return layers;
  } finally {
    await site.guest.closeNodes([node]);
  }
}

/**
 * What a later boot opens by the headers must be the chain that was compared. A header that names no format is the guest's own affair where its
 * source names none either: then a boot guesses at the source as well. The layers that stay are the source's own files.
 */
async function newDeviation({ host }: Site, disk: RecordedDisk, top: MovedLayer): Promise<Deviation | undefined> {
  const { layers } = disk.manifest;
  const first = layers.indexOf(top);
  const deviations = await deviationsIn(host, filesFrom(disk, top).destination, layers.length - first);
  const guessedAtSource = (index: number) => disk.image.chain[1 + first + index]?.backingFormat === undefined;
  return deviations.find((each) => each.in !== "no-format" || !guessedAtSource(each.index));
}

export function compareLayer({ host, options, run }: Site, disk: RecordedDisk, layer: MovedLayer) {
  const reading = options.verify === "full" ? "past-the-cache" : "cached";
  const watch = { stop: run.stop, stallSeconds: options.stallSeconds };
  const { source, destination } = filesFrom(disk, layer);
  return compareImages(host, source, destination, reading, watch);
}

/** @throws UserError if an adopted layer is not there any more: its identity is what every later step compares it with */
async function withIdentities(site: Site, layers: readonly MovedLayer[], refuse: (why: string) => Error): Promise<MovedLayer[]> {
  const stats = await seeFiles(
    site.host,
    layers.map(({ destination }) => destination),
    "follow",
  );
  return layers.map((layer, index) => {
    const found = stats[index];
    if (layer.coming === "copy") return layer;
    if (!found) throw refuse(`${layer.destination}, which was to be taken as it is, is not there any more`);
    return { ...layer, adopted: identityOf(found) };
  });
}
