/** Whether the guest's live chain is the one on which a move expects it: file by file from the top down, and by format. */

import { isFile, sameFile, type WhichFile } from "../../core/disk/chain.js";
import { baseName, directoryOf, within } from "../../core/disk/paths.js";
import { BugError } from "../../core/errors.js";
import { type FileSeen, seeFiles } from "../../host/file-seen.js";
import type { Host } from "../../host/host.js";
import type { GuestProcess, ImageView } from "../../hypervisor/hypervisor.js";
import { type Manifest, pathOf, type Standing } from "../../journal/manifest.js";

/** What is known of a layer; what is not written down is left out. */
export interface ExpectedLayer {
  path: string;
  /** Its name after a switch: QEMU goes on calling it `path`. */
  quarantine?: string;
  /** Which file it is. */
  is?: Pick<WhichFile, "ino" | "identity">;
  format?: string;
}

export interface ExpectedChain {
  layers: readonly ExpectedLayer[];
  /** What is below them: a manifest of 0.1.0 does not tell which layers stay. */
  below: "nothing" | "unknown";
}

/** The chain below and with the image that takes the guest's writes, by what is written down. Pure. */
export function expectedChain(manifest: Manifest, standing: Standing): ExpectedChain {
  const { destination, overlay, chain } = manifest;
  const below = chain ? "nothing" : "unknown";
  const format = chain?.[0]?.format;
  const top = (path: string, is: WhichFile | undefined, of: string | undefined): ExpectedLayer => ({
    path,
    ...(is && { is }),
    ...(of === undefined ? {} : { format: of }),
  });
  switch (standing) {
    case "former":
      return { layers: atSource(manifest), below };
    case "overlay":
      return { layers: [top(pathOf(manifest, "overlay"), overlay?.made, "qcow2"), ...atSource(manifest)], below };
    case "target":
      return { layers: [top(destination.target, destination.file, overlay ? "qcow2" : format), ...atDestination(manifest)], below };
    case "landing":
      return { layers: atDestination(manifest), below };
  }
}

function atSource({ source, quarantine, layers, chain }: Manifest): ExpectedLayer[] {
  const below = layers.filter((layer) => layer.source !== source.active);
  const known: ExpectedLayer[] = chain
    ? chain.map(recordedLayer)
    : [{ path: source.active, is: source }, ...below.map(({ source: path, identity: is, format }) => ({ path, is, format }))];
  return known.map((layer) => ({ ...layer, ...(layer.path === source.active ? { quarantine } : {}) }));
}

/** A layer as manifests have it in `chain`. */
export function recordedLayer({ path, format, ...is }: { path: string; format: string } & WhichFile): ExpectedLayer {
  return { path, format, is };
}

/** With an overlay, the former active image is one of the layers that move. */
function atDestination({ source, layers, chain }: Manifest): ExpectedLayer[] {
  const moved = layers.map(({ destination, format, adopted }) => ({ path: destination, format, ...(adopted && { is: adopted }) }));
  const tops = layers[0]?.source === source.active ? 0 : 1;
  // a manifest of 0.1.0 does not tell them: then `below` is unknown
  const staying = chain === undefined ? [] : chain.slice(tops + layers.length).map(recordedLayer);
  return [...moved, ...staying];
}

/** A layer as QEMU has it open, by its name made absolute. */
interface LiveLayer {
  path: string;
  format: string;
  file: FileSeen | undefined;
}

/** The live chain, and what has to be known to compare it. */
export interface LiveChain {
  layers: readonly [LiveLayer, ...LiveLayer[]];
  /** What QEMU has open; undefined where its process is not to be seen. */
  open: ReadonlySet<string> | undefined;
  /** The link through which the guest's command line names its images, which may have been re-pointed since. */
  link?: string;
}

export async function liveChain(host: Host, { chain }: Pick<ImageView, "chain">, process: GuestProcess | undefined): Promise<LiveChain> {
  const home = process?.workingDirectory ?? "/";
  const named = chain.map(({ path, format }) => ({ path: within(home, path), format }));
  const files = await seeFiles(
    host,
    named.map(({ path }) => path),
    "follow",
  );
  const [top, ...below] = named.map((layer, index): LiveLayer => ({ ...layer, file: files[index] }));
  if (!top) throw new BugError("A live chain has no layer.");
  return { layers: [top, ...below], open: process?.openFiles };
}

/**
 * How many layers lie above the expected chain; undefined where it is not there, or something else is below it. `0` is the only right
 * answer: with more, somebody has put overlays on top.
 */
export async function layersAbove(host: Host, live: LiveChain, expected: ExpectedChain): Promise<number | undefined> {
  const names = expected.layers.flatMap(({ path, quarantine }) => [path, quarantine ?? path]);
  const files = await seeFiles(host, names, "follow");
  const fits = (above: number) =>
    expected.layers.every((layer, index) => isLayer(live, above + index, layer, files.slice(2 * index, 2 * index + 2)));
  const longest = live.layers.length - expected.layers.length;
  for (let above = 0; above <= longest; above++) if (fits(above) && (expected.below === "unknown" || above === longest)) return above;
  return undefined;
}

function isLayer(chain: LiveChain, index: number, expected: ExpectedLayer, there: readonly (FileSeen | undefined)[]): boolean {
  const live = chain.layers[index];
  const file = there.find((found) => found !== undefined && (expected.is === undefined || isFile(found, expected.is)));
  if (!live || !file || (expected.format !== undefined && live.format !== expected.format)) return false;
  // QEMU names a file as it was called when it was opened
  const isIt = live.file ? sameFile(live.file, file) : live.path === expected.path;
  return (isIt && isOpen(chain, file) !== "closed") || (isThroughLink(chain, live, expected) && isOpen(chain, file) === "open");
}

/** Where a link was re-pointed since, the names through it lead to other files by now, or to none. */
function isThroughLink({ link }: LiveChain, live: LiveLayer, expected: ExpectedLayer): boolean {
  return directoryOf(live.path) === link && baseName(live.path) === baseName(expected.path);
}

function isOpen({ open }: LiveChain, { dev, ino }: FileSeen): "open" | "closed" | "hidden" {
  if (open === undefined) return "hidden";
  return open.has(`${dev}:${ino}`) ? "open" : "closed";
}

/** A live chain that is not the expected one. */
export interface StrayedChain {
  live: LiveChain;
  expected: ExpectedChain;
  /** How many layers somebody has put on top of the expected ones; undefined where those are not there as they were. */
  above: number | undefined;
}

/** What was found, as a part of a sentence. */
export function whyStrayed({ live, expected, above }: StrayedChain): string {
  const [top] = expected.layers;
  if (above !== undefined) {
    const names = live.layers.slice(0, above).map(({ path }) => path);
    return `somebody has put ${names.join(", ")} on top of ${top?.path}, where this move does not expect it`;
  }
  const more = expected.below === "unknown" ? " …" : "";
  return `its chain is ${chainText(live.layers)}, and this move expects the files ${chainText(expected.layers)}${more}`;
}

export function adviceFor(above: number | undefined): string {
  return above === undefined
    ? "Bring that chain back, then run again; or destroy the resource, which undoes the move where that loses nothing."
    : "If it is a backup's snapshot, let the backup end, or commit it down (`block-commit`, `virsh blockcommit --active --pivot`), then run again.";
}

function chainText(layers: readonly { path: string; format?: string }[]): string {
  return layers.map(({ path, format }) => (format === undefined ? path : `${path} (${format})`)).join(" ← ");
}

/** Of the chains on which a move can expect the guest, the one that lies right below what somebody has put on top, as a part of a sentence. */
export async function foreignTop(
  host: Host,
  live: LiveChain,
  candidates: readonly ExpectedChain[],
  current: string,
): Promise<string | undefined> {
  let nearest: StrayedChain | undefined;
  for (const expected of candidates) {
    const above = await layersAbove(host, live, expected);
    if (above && above < (nearest?.above ?? Number.POSITIVE_INFINITY)) nearest = { live, expected, above };
  }
  if (!nearest) return undefined;
  return (
    `${whyStrayed(nearest)}. What the guest writes is there, and a boot must use that; ` +
    `${current}, which its manifest calls current, lacks it. ${adviceFor(nearest.above).replace(/, then run again\.$/, "")}`
  );
}
