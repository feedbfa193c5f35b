/** Where a move stands when no job of ours runs, and the guest is where `current` says. */

import { compareFiles, type FileIdentity, isUnchanged } from "../../../core/disk/chain.js";
import { baseName } from "../../../core/disk/paths.js";
import { impossible } from "../../../core/errors.js";
import { type FileSeen, seeFiles } from "../../../host/file-seen.js";
import { readHeaders } from "../../../image/headers.js";
import type { Manifest, MovedLayer, Standing } from "../../../journal/manifest.js";
import type { Records } from "../../../journal/records.js";
import { type LayerState, layerStates } from "../../../storage/directory/sidecar.js";
import type { Phase } from "../../shared/phase.js";
import type { Viewpoint } from "../../shared/site.js";
import type { Evidence, FilesNow } from "./standing.js";

export async function phaseAtRest(evidence: Evidence, standing: Standing, now: FilesNow): Promise<Phase> {
  const { manifest } = evidence.records;
  const other = await otherDirectory(evidence.site, evidence.records);
  if (other && (standing === "former" || standing === "overlay")) return { phase: "astray", why: other };
  if (manifest.overlay) return phaseOfSnapshot(evidence, manifest.overlay, standing, now);
  if (standing === "target") return { phase: "switched" };
  if (evidence.records.sides === "source") return { phase: "recorded" };
  return phaseOfLayers(evidence, manifest.layers);
}

/** Where the destination's storage is not mounted, nothing may be copied into what lies below. */
async function otherDirectory({ host }: Viewpoint, records: Records): Promise<string | undefined> {
  const { directory, ino } = records.manifest.destination;
  const [there] = await seeFiles(host, [directory], "follow");
  if (ino === undefined || (there && isDirectoryOf(records, there, ino))) return undefined;
  return (
    `${directory} is ${there ? "another directory than" : "not there, but was"} when the move began. Mount its storage again. ` +
    "If that is gone for good, destroy the resource, which undoes the move at the source"
  );
}

/**
 * The root of a file system has the same inode on many of them. Where no more is known of the directory, it is the one in which the manifest
 * lies, once that was written there.
 */
function isDirectoryOf({ manifest, sides }: Records, there: FileSeen, ino: string): boolean {
  const compared = compareFiles(there, { ino, identity: manifest.directories?.destination });
  const wasWritten = (manifest.generation ?? 0) > 1;
  return compared === "same" || (compared === "unknown" && (sides !== "source" || !wasWritten));
}

type Overlay = NonNullable<Manifest["overlay"]>;

async function phaseOfSnapshot(evidence: Evidence, overlay: Overlay, standing: Standing, now: FilesNow): Promise<Phase> {
  const { records } = evidence;
  const { manifest } = records;
  switch (standing) {
    case "former":
      return phaseOnFormer(manifest, overlay, records.sides, now);
    case "overlay":
      return manifest.layers[0]?.source === manifest.source.active ? phaseOfLayers(evidence, manifest.layers) : { phase: "frozen" };
    case "target":
      return phaseOnTarget(evidence, overlay);
    case "landing":
      return { phase: "switched" };
    default:
      return impossible(standing);
  }
}

/** Before the freeze, or after the overlay was committed down. A guest that was booted from the frozen image instead is neither. */
function phaseOnFormer(manifest: Manifest, overlay: Overlay, sides: "both" | "source" | "destination", now: FilesNow): Phase {
  if (overlay.committed === "source") return { phase: "folded" };
  const written = now.overlay !== undefined && overlay.made !== undefined && now.overlay.sizeBytes !== overlay.made.sizeBytes;
  if (written) {
    const why =
      `the guest runs on ${manifest.source.active}, which was frozen; what it wrote since then is in ${overlay.path}, and is missing here. ` +
      `Stop the guest and start it from ${manifest.current}`;
    return { phase: "contradiction", why };
  }
  return sides === "source" ? { phase: "recorded" } : { phase: "unfrozen" };
}

/**
 * The chain is to be shortened, or it is as it shall be. After a pull QEMU's chain alone does not tell that: a guest that was started with
 * another one than its image's own, and an image whose header could not be written when the pull ended (stream_prepare() in
 * block/stream.c, QEMU 7.2), need the copied layer at the next boot.
 */
async function phaseOnTarget({ site, image, records }: Evidence, { collapse, landing }: Overlay): Promise<Phase> {
  if (collapse === "none") return { phase: "switched" };
  const isLanding = (path = "") => baseName(path) === baseName(landing);
  if (collapse === "commit" || image.chain.some(({ path }) => isLanding(path))) return { phase: "pivoted" };
  const { target } = records.manifest.destination;
  const [header = { why: "it was not asked" }] = await readHeaders(site.host, [{ path: target, format: "qcow2" }]);
  if ("why" in header) {
    const why = `the header of ${target} cannot be read (${header.why}), so it is not known whether ${landing} is needed`;
    return { phase: "contradiction", why };
  }
  if (!isLanding(header.backingName)) return { phase: "switched" };
  const why = `the guest runs without ${landing}, which ${target} still names in its header. Stop the guest, and start it from ${target} as that header has it`;
  return { phase: "contradiction", why };
}

async function phaseOfLayers({ site, key }: Evidence, layers: readonly MovedLayer[]): Promise<Phase> {
  const changed = await changedLayer(site, layers);
  if (changed) return { phase: "contradiction", why: changed };
  const states = await layerStates(
    site.host,
    layers.map(({ destination }) => destination),
    key,
  );
  // the base first: a copy's own header names the layer below it
  const missing = layers.findLastIndex((layer, index) => layer.coming === "copy" && !isInPlace(site, layer, states[index]));
  const layer = layers[missing];
  return layer ? { phase: "copying", layer } : { phase: "copied" };
}

/** Finished and ours; with `verify` also compared, and since then as it was. */
function isInPlace({ options }: Viewpoint, { compared }: MovedLayer, state: LayerState | undefined): boolean {
  if (state?.state !== "ours") return false;
  return options.verify === "none" || (compared !== undefined && isUnchanged(state.layer, compared));
}

/** A frozen file whose identity has changed stops everything. */
async function changedLayer(site: Viewpoint, layers: readonly MovedLayer[]): Promise<string | undefined> {
  const stats = (paths: string[]) => seeFiles(site.host, paths, "follow");
  const sources = await stats(layers.map(({ source }) => source));
  const destinations = await stats(layers.map(({ destination }) => destination));
  for (const [index, layer] of layers.entries()) {
    if (!unchanged(sources[index], layer.identity)) return frozenChanged(layer.source, layer.destination);
    if (layer.adopted && !unchanged(destinations[index], layer.adopted)) return frozenChanged(layer.destination, layer.source);
  }
  return undefined;
}

function unchanged(found: FileSeen | undefined, recorded: FileIdentity): boolean {
  return found !== undefined && isUnchanged(found, recorded);
}

function frozenChanged(changed: string, twin: string): string {
  return `${changed} has changed since the move began, although it is a layer that nobody may write to; its twin is ${twin}. Find out who wrote to it; destroying the resource undoes the move`;
}
