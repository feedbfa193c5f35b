/** The manifests of a mirrored snapshot on the host: read from both sides, written to both, the one beside `file` first. */

import { backOf, type DiskKey, fileNames, nextOf } from "../core/disk/names.js";
import { directoryOf, within } from "../core/disk/paths.js";
import { UserError } from "../core/errors.js";
import { readSmallFile, removeFiles, writeFileAtomically } from "../host/files.js";
import type { Host } from "../host/host.js";
import { currentSide, parseSnapshotManifest, type SnapshotManifest, snapshotManifestText } from "./snapshot-manifest.js";
import { isSnapshotText } from "./snapshot-mark.js";

/** What the two sides say together. */
export interface SnapshotRecords {
  manifest: SnapshotManifest;
  /** Which of the two has it. */
  sides: "both" | "file" | "mirror";
  /** The other side tells of a pivot that this one does not. */
  halfWritten?: true;
}

export function manifestPaths({ file, mirror }: SnapshotManifest, key: DiskKey): { file: string; mirror: string } {
  const name = fileNames.manifest(key);
  return { file: within(directoryOf(file.path), name), mirror: within(directoryOf(mirror.path), name) };
}

/** Looks in the given directories, then where a found manifest says that its twin is. `current` is the mirror only where both say so. */
export async function readSnapshotRecords(host: Host, key: DiskKey, directories: readonly string[]): Promise<SnapshotRecords | undefined> {
  for (const directory of new Set(directories)) {
    const found = await readManifest(host, within(directory, fileNames.manifest(key)));
    if (found) return bothSides(host, key, found);
  }
  return undefined;
}

async function bothSides(host: Host, key: DiskKey, found: SnapshotManifest): Promise<SnapshotRecords> {
  const paths = manifestPaths(found, key);
  const [file, mirror] = [await readManifest(host, paths.file), await readManifest(host, paths.mirror)];
  if (!file || !mirror) return { manifest: file ?? mirror ?? found, sides: file ? "file" : "mirror" };
  if (file.startedAt !== mirror.startedAt) {
    throw new UserError(
      `Unable to go on with the mirrored snapshot of ${file.disk}: the manifests ${paths.file} and ${paths.mirror} tell of two different ones. ` +
        "Nothing was touched. Take away the one of the snapshot that is not there, then run `pulumi up` again.",
    );
  }
  const halfWritten = currentSide(file) !== currentSide(mirror) && ({ halfWritten: true } as const);
  return { manifest: currentSide(file) === "source" ? file : mirror, sides: "both", ...halfWritten };
}

async function readManifest(host: Host, path: string): Promise<SnapshotManifest | undefined> {
  const text = await readSmallFile(host, path);
  if (text === undefined || !isSnapshotText(text)) return undefined;
  try {
    return parseSnapshotManifest(text, path);
  } catch (unreadable) {
    // a power cut in the switch can take the tail of what was being written; then it had not happened yet
    const before = await readSmallFile(host, backOf(path));
    if (before === undefined) throw unreadable;
    return parseSnapshotManifest(before, backOf(path));
  }
}

/** Writes it beside one of the two, or changes what both say. */
export async function writeSnapshotRecords(host: Host, key: DiskKey, manifest: SnapshotManifest, sides: "file" | "both" = "both") {
  const paths = manifestPaths(manifest, key);
  await writeFileAtomically(host, paths.file, snapshotManifestText(manifest));
  if (sides === "both") await writeFileAtomically(host, paths.mirror, snapshotManifestText(manifest));
}

/** Takes the manifests away, with what a cut switch left beside them; the one beside the active image goes last. */
export async function removeSnapshotRecords(
  host: Host,
  key: DiskKey,
  manifest: SnapshotManifest,
  active: "file" | "mirror",
): Promise<void> {
  const paths = manifestPaths(manifest, key);
  const ordered = active === "file" ? [paths.mirror, paths.file] : [paths.file, paths.mirror];
  await removeFiles(host, [...ordered.flatMap((each) => [nextOf(each), backOf(each)]), ...ordered]);
}
