/** The manifests of a mirrored snapshot on the host. The source's lies beside `file`, the destination's beside `mirror`. */

import { backOf, type DiskKey, fileNames, nextOf } from "../core/disk/names.js";
import { directoryOf, within } from "../core/disk/paths.js";
import { readSmallFile, removeFiles, writeFileAtomically } from "../host/files.js";
import type { Host } from "../host/host.js";
import { raised } from "./generation.js";
import {
  currentSide,
  parseSnapshotManifest,
  type SnapshotManifest,
  snapshotDecidedAs,
  snapshotManifestText,
  type WrittenSnapshotManifest,
} from "./snapshot-manifest.js";
import { isSnapshotText } from "./snapshot-mark.js";
import { dropSwitchRecord } from "./switch-record.js";
import { type ManifestKind, type Paths, Reader, type TwoSided } from "./two-sided.js";

export type SnapshotRecords = TwoSided<WrittenSnapshotManifest, SnapshotManifest>;

export function manifestPaths({ file, mirror }: SnapshotManifest, key: DiskKey): Paths {
  const name = fileNames.manifest(key);
  return { source: within(directoryOf(file.path), name), destination: within(directoryOf(mirror.path), name) };
}

export const snapshots: ManifestKind<WrittenSnapshotManifest, SnapshotManifest> = {
  name: "mirrored snapshot",
  paths: manifestPaths,
  isOf: isSnapshotText,
  parse: parseSnapshotManifest,
  decidedAs: snapshotDecidedAs,
  switchesIn: (manifest) => (currentSide(manifest) === "destination" ? 1 : 0),
  fixed: ["source", "destination"],
};

export function readSnapshotRecords(host: Host, key: DiskKey, directories: readonly string[]): Promise<SnapshotRecords | undefined> {
  const textIn = (directory: string) => readSmallFile(host, within(directory, fileNames.manifest(key)));
  return new Reader(host, snapshots, { key, textIn }).read(directories);
}

/** Writes it beside one of the two, or changes what both say. */
export async function writeSnapshotRecords(host: Host, key: DiskKey, manifest: SnapshotManifest, sides: "source" | "both" = "both") {
  const paths = manifestPaths(manifest, key);
  const text = snapshotManifestText(sides === "both" ? raised(manifest) : manifest);
  await writeFileAtomically(host, paths.source, text);
  if (sides === "both") await writeFileAtomically(host, paths.destination, text);
}

/** Takes the manifests away, with what a cut switch left beside them; the one beside the active image goes last. */
export async function removeSnapshotRecords(
  host: Host,
  key: DiskKey,
  manifest: SnapshotManifest,
  active: "source" | "destination",
): Promise<void> {
  const paths = manifestPaths(manifest, key);
  const ordered = active === "source" ? [paths.destination, paths.source] : [paths.source, paths.destination];
  await removeFiles(host, [...ordered.flatMap((each) => [nextOf(each), backOf(each)]), ...ordered]);
  await dropSwitchRecord(host, within(directoryOf(paths.source), fileNames.switchRecord(key)));
}
