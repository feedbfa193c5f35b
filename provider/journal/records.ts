/** The manifests of a move on the host: read from both sides, written to both sides, the source's first. */

import { type DiskKey, fileNames } from "../core/disk/names.js";
import { directoryOf, within } from "../core/disk/paths.js";
import { UserError } from "../core/errors.js";
import { removeFile, writeFileAtomically } from "../host/files.js";
import type { Host } from "../host/host.js";
import { raised } from "./generation.js";
import { decidedAs, type Manifest, manifestText, parseManifest, switchesWritten, type WrittenManifest } from "./manifest.js";
import { readManifestText } from "./manifest-text.js";
import { isSnapshotText } from "./snapshot-mark.js";
import { stateDirectoriesOf } from "./state-directory.js";
import { type ManifestKind, type Paths, Reader, type TwoSided } from "./two-sided.js";

export type Records = TwoSided<WrittenManifest, Manifest>;

export function manifestPaths(manifest: Manifest, key: DiskKey): Paths {
  const name = fileNames.manifest(key);
  const { active, manifestIn = directoryOf(active) } = manifest.source;
  return { source: within(manifestIn, name), destination: within(manifest.destination.directory, name) };
}

export const moves: ManifestKind<WrittenManifest, Manifest> = {
  name: "move",
  paths: manifestPaths,
  isOf: (text) => !isSnapshotText(text),
  parse: parseManifest,
  checkPlace: refuseOtherPlace,
  decidedAs,
  linkOf: ({ link, source, destination }) =>
    link && { before: link.before, after: destination.directory, home: directoryOf(source.active) },
  switchesIn: switchesWritten,
  areAlike: (one, other) => one.destination.active === other.destination.active,
  // the destination's directory has a phase of its own: where its storage is gone for good, the move is undone at the source
  fixed: ["source"],
};

/** @param together as in {@link readManifestText} */
export async function readRecords(
  host: Host,
  key: DiskKey,
  directories: readonly string[],
  together: readonly DiskKey[] = [],
): Promise<Records | undefined> {
  const textIn = (directory: string) => readManifestText(host, key, directory, together);
  return new Reader(host, moves, { key, textIn }).read([...directories, ...(await stateDirectoriesOf(host))]);
}

/** It is written to: never to a directory that only a manifest names. */
function refuseOtherPlace({ name, stateDirectory }: Host, { disk, source: { manifestIn } }: WrittenManifest, path: string): void {
  if (manifestIn === undefined || manifestIn === stateDirectory) return;
  throw new UserError(
    `Unable to go on with the move of ${disk} on ${name}: its manifest ${path} has its twin in ${manifestIn}, and \`host.stateDirectory\` is ${stateDirectory}. ` +
      `Nothing was touched. Set \`host.stateDirectory\` to the one that the run had which began the move, then run again.`,
  );
}

export async function writeSourceRecord(host: Host, key: DiskKey, manifest: Manifest): Promise<void> {
  await writeFileAtomically(host, manifestPaths(manifest, key).source, manifestText(manifest));
}

export async function writeDestinationRecord(host: Host, key: DiskKey, manifest: Manifest): Promise<void> {
  await writeFileAtomically(host, manifestPaths(manifest, key).destination, manifestText(manifest));
}

/** Changes what both sides say; the source's first. */
export async function writeRecords(host: Host, key: DiskKey, manifest: Manifest): Promise<void> {
  const next = raised(manifest);
  await writeSourceRecord(host, key, next);
  await writeDestinationRecord(host, key, next);
}

/**
 * Takes the manifests away; the one beside the active image goes last, so that it is found as long as there is anything to do.
 * @param removeLast how that one goes
 */
export async function removeRecords(
  host: Host,
  key: DiskKey,
  manifest: Manifest,
  active: "source" | "destination",
  removeLast = (path: string) => removeFile(host, path),
): Promise<void> {
  const paths = manifestPaths(manifest, key);
  await removeFile(host, active === "source" ? paths.destination : paths.source);
  await removeLast(paths[active]);
}
