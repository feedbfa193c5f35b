/** The manifests of a mirrored snapshot on the host: read from both sides, written to both, the one beside `file` first. */

import { backOf, type DiskKey, fileNames, nextOf } from "../core/disk/names.js";
import { directoryOf, within } from "../core/disk/paths.js";
import { UserError } from "../core/errors.js";
import { readSmallFile, removeFiles, writeFileAtomically } from "../host/files.js";
import type { Host } from "../host/host.js";
import { sideOf } from "./decided-by.js";
import { raised, refuseBroughtBack, refuseMoved, refuseStray, withLowerOf } from "./generation.js";
import type { CutSwitch } from "./records.js";
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
import { beforeTorn } from "./torn.js";

/** What the two sides say together. */
export interface SnapshotRecords {
  manifest: SnapshotManifest;
  /** Which of the two has it. */
  sides: "both" | "file" | "mirror";
  /** The other side tells of a pivot that this one does not. */
  halfWritten?: true;
  /** Of a pivot that has not ended, on one side at least. `manifest` is as the switch record says. */
  cut?: CutSwitch<WrittenSnapshotManifest>;
}

interface Read {
  manifest: SnapshotManifest;
  cut?: CutSwitch<WrittenSnapshotManifest>;
}

export function manifestPaths({ file, mirror }: SnapshotManifest, key: DiskKey): { file: string; mirror: string } {
  const name = fileNames.manifest(key);
  return { file: within(directoryOf(file.path), name), mirror: within(directoryOf(mirror.path), name) };
}

/** Looks in the given directories, then where a found manifest says that its twin is. `current` is the mirror only where both say so. */
export async function readSnapshotRecords(host: Host, key: DiskKey, directories: readonly string[]): Promise<SnapshotRecords | undefined> {
  for (const directory of new Set(directories)) {
    const found = await readManifest(host, within(directory, fileNames.manifest(key)));
    if (found) return (await bothSides(host, key, found)) ?? (await stray(host, key, { directory, found }));
  }
  return undefined;
}

const goal = "the mirrored snapshot";

/** Found, and at neither of its places: another run has ended the snapshot meanwhile, or somebody has moved it. */
async function stray(host: Host, key: DiskKey, { directory, found }: { directory: string; found: Read }): Promise<undefined> {
  const path = within(directory, fileNames.manifest(key));
  if (!(await readManifest(host, path))) return undefined;
  const places = Object.values(manifestPaths(found.manifest, key));
  return refuseStray({ goal, hostName: host.name }, { disk: found.manifest.disk, path, places });
}

async function bothSides(host: Host, key: DiskKey, found: Read): Promise<SnapshotRecords | undefined> {
  const paths = manifestPaths(found.manifest, key);
  const sides = [await readManifest(host, paths.file), await readManifest(host, paths.mirror)];
  const one = sides[0] ?? sides[1];
  if (!one) return undefined;
  const { disk, directories } = one.manifest;
  if (sides[0]) await refuseMoved(host, goal, { disk, path: paths.file, home: directories?.source });
  if (sides[1]) await refuseMoved(host, goal, { disk, path: paths.mirror, home: directories?.destination });
  const cut = sides[0]?.cut ?? sides[1]?.cut ?? found.cut;
  const unfinished = cut === undefined ? {} : { cut };
  const [file, mirror] = sides.map((side) => side?.manifest);
  if (!file || !mirror) return { manifest: one.manifest, sides: file ? "file" : "mirror", ...unfinished };
  if (file.startedAt !== mirror.startedAt) {
    throw new UserError(
      `Unable to go on with the mirrored snapshot of ${file.disk} on ${host.name}: the manifests ${paths.file} and ${paths.mirror} tell of two different ones. ` +
        "Nothing was touched. Take away the one of the snapshot that is not there, then run `pulumi up` again.",
    );
  }
  refuseBroughtBack({ goal, hostName: host.name }, { ...file, path: paths.file }, { ...mirror, path: paths.mirror });
  const halfWritten = currentSide(file) !== currentSide(mirror) && ({ halfWritten: true } as const);
  return {
    manifest: currentSide(file) === "source" ? withLowerOf(file, mirror) : withLowerOf(mirror, file),
    sides: "both",
    ...halfWritten,
    ...unfinished,
  };
}

async function readManifest(host: Host, path: string): Promise<Read | undefined> {
  const text = await readSmallFile(host, path);
  return text === undefined || !isSnapshotText(text) ? undefined : readDecidedSnapshot(host, await parsed(host, text, path));
}

/** @throws UserError where a pivot was cut, and its switch record is not there */
export async function readDecidedSnapshot(host: Host, written: WrittenSnapshotManifest): Promise<Read> {
  const { disk, current, pending } = written;
  if (typeof current === "string" || !pending) return { manifest: snapshotDecidedAs(written, "before") };
  const decided = await sideOf(host, { disk, current });
  return { manifest: snapshotDecidedAs(written, decided), cut: { written: { ...written, current, pending }, decided } };
}

async function parsed(host: Host, text: string, path: string): Promise<WrittenSnapshotManifest> {
  try {
    return parseSnapshotManifest(text, path);
  } catch (unreadable) {
    const before = await beforeTorn(host, text, path);
    if (before === undefined) throw unreadable;
    return parseSnapshotManifest(before, backOf(path));
  }
}

/** Writes it beside one of the two, or changes what both say. */
export async function writeSnapshotRecords(host: Host, key: DiskKey, manifest: SnapshotManifest, sides: "file" | "both" = "both") {
  const paths = manifestPaths(manifest, key);
  const text = snapshotManifestText(sides === "both" ? raised(manifest) : manifest);
  await writeFileAtomically(host, paths.file, text);
  if (sides === "both") await writeFileAtomically(host, paths.mirror, text);
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
  await dropSwitchRecord(host, within(directoryOf(paths.file), fileNames.switchRecord(key)));
}
