/** The manifests on the host: read from both sides, written to both sides, the source's first. */

import { backOf, type DiskKey, fileNames } from "../core/disk/names.js";
import { directoryOf, within } from "../core/disk/paths.js";
import { UserError } from "../core/errors.js";
import { removeFile, writeFileAtomically } from "../host/files.js";
import type { Host } from "../host/host.js";
import { type DecidingLink, type InPending, type SwitchSide, sideOf, type Undecided } from "./decided-by.js";
import { raised, refuseBroughtBack, refuseMoved, refuseStray, withLowerOf } from "./generation.js";
import { decidedAs, type Manifest, manifestText, parseManifest, switchesWritten, type WrittenManifest } from "./manifest.js";
import { readManifestText } from "./manifest-text.js";
import { isSnapshotText } from "./snapshot-mark.js";
import { stateDirectoriesOf } from "./state-directory.js";
import { beforeTorn } from "./torn.js";

/** What the two sides say together. */
export interface Records {
  manifest: Manifest;
  /** Which of the two sides has it. In a move both do; only the one beside the active image at its begin and at its end. */
  sides: "both" | "source" | "destination";
  /** Where a switch was written on one side only: what that side says. */
  further?: Manifest;
  /** Of a switch that has not ended, on one side at least. `manifest` is as what decides it says. */
  cut?: CutSwitch<WrittenManifest>;
}

/** A switch that is written down and has not ended. */
export interface CutSwitch<W> {
  written: W & { current: Undecided; pending: InPending };
  decided: SwitchSide;
}

interface Read {
  manifest: Manifest;
  cut?: CutSwitch<WrittenManifest>;
}

export function manifestPaths(manifest: Manifest, key: DiskKey): { source: string; destination: string } {
  const name = fileNames.manifest(key);
  const { active, manifestIn = directoryOf(active) } = manifest.source;
  return { source: within(manifestIn, name), destination: within(manifest.destination.directory, name) };
}

/**
 * Looks in the given directories, then where a found manifest says that its twin is. A switch is written only where every
 * manifest that there is says so: it lets the guest go only after all were written.
 * @param together as in {@link readManifestText}
 */
export async function readRecords(
  host: Host,
  key: DiskKey,
  directories: readonly string[],
  together: readonly DiskKey[] = [],
): Promise<Records | undefined> {
  const read = (directory: string) => readManifest(host, key, directory, together);
  for (const directory of new Set([...directories, ...(await stateDirectoriesOf(host))])) {
    const found = await read(directory);
    if (found) return (await bothSides({ host, read }, key, found)) ?? (await stray({ host, read }, key, { directory, found }));
  }
  return undefined;
}

type ReadIn = (directory: string) => Promise<Read | undefined>;

/** Found, and at neither of its places: another run has ended the move meanwhile, or somebody has moved it. */
async function stray(
  { host, read }: { host: Host; read: ReadIn },
  key: DiskKey,
  { directory, found }: { directory: string; found: Read },
): Promise<undefined> {
  if (!(await read(directory))) return undefined;
  const { source, destination } = manifestPaths(found.manifest, key);
  const path = within(directory, fileNames.manifest(key));
  return refuseStray({ goal, hostName: host.name }, { disk: found.manifest.disk, path, places: [source, destination] });
}

const goal = "the move";

async function bothSides({ host, read }: { host: Host; read: ReadIn }, key: DiskKey, found: Read): Promise<Records | undefined> {
  const paths = manifestPaths(found.manifest, key);
  const sides = [paths.source, paths.destination].map((path) => read(directoryOf(path)));
  const [source, destination] = await Promise.all(sides);
  const one = source ?? destination;
  if (!one) return undefined;
  // the destination's directory has a phase of its own: where its storage is gone for good, the move is undone at the source
  if (source) await refuseMoved(host, goal, { disk: one.manifest.disk, path: paths.source, home: source.manifest.directories?.source });
  const cut = source?.cut ?? destination?.cut ?? found.cut;
  const unfinished = cut === undefined ? {} : { cut };
  if (source && destination) {
    refuseStrangers(host.name, [source.manifest, destination.manifest], paths);
    const ordered = [source.manifest, destination.manifest].sort((a, b) => switchesWritten(a) - switchesWritten(b));
    const [lower, further] = ordered as [Manifest, Manifest];
    const manifest = withLowerOf(lower, further);
    return { manifest, sides: "both", ...(switchesWritten(manifest) < switchesWritten(further) && { further }), ...unfinished };
  }
  const { manifest } = one;
  return { manifest, sides: source ? "source" : "destination", ...unfinished };
}

function refuseStrangers(
  hostName: string,
  [source, destination]: readonly [Manifest, Manifest],
  paths: { source: string; destination: string },
): void {
  const isOneMove = source.startedAt === destination.startedAt && source.destination.active === destination.destination.active;
  if (isOneMove) {
    refuseBroughtBack({ goal, hostName }, { ...source, path: paths.source }, { ...destination, path: paths.destination });
    return;
  }
  throw new UserError(
    `Unable to go on with the move of ${source.disk} on ${hostName}: the manifests ${paths.source} and ${paths.destination} tell of two different moves. ` +
      "Nothing was touched. Take away the one of the move that did not happen, then run `pulumi up` again.",
  );
}

async function readManifest(host: Host, key: DiskKey, directory: string, together: readonly DiskKey[]): Promise<Read | undefined> {
  const text = await readManifestText(host, key, directory, together);
  if (text === undefined || isSnapshotText(text)) return undefined;
  const path = within(directory, fileNames.manifest(key));
  const written = await parsed(host, text, path);
  refuseOtherPlace(host, written, path);
  return readDecided(host, written);
}

/** It is written to: never to a directory that only a manifest names. */
function refuseOtherPlace({ name, stateDirectory }: Host, { disk, source: { manifestIn } }: WrittenManifest, path: string): void {
  if (manifestIn === undefined || manifestIn === stateDirectory) return;
  throw new UserError(
    `Unable to go on with the move of ${disk} on ${name}: its manifest ${path} has its twin in ${manifestIn}, and \`host.stateDirectory\` is ${stateDirectory}. ` +
      `Nothing was touched. Set \`host.stateDirectory\` to the one that the run had which began the move, then run again.`,
  );
}

/** @throws UserError where a switch was cut, and what decides it is not there */
export async function readDecided(host: Host, written: WrittenManifest): Promise<Read> {
  const { disk, current, pending, link, source, destination } = written;
  if (typeof current === "string" || !pending) return { manifest: decidedAs(written, "before") };
  const leads: DecidingLink | undefined = link && { before: link.before, after: destination.directory, home: directoryOf(source.active) };
  const decided = await sideOf(host, { disk, current, link: leads });
  return { manifest: decidedAs(written, decided), cut: { written: { ...written, current, pending }, decided } };
}

async function parsed(host: Host, text: string, path: string): Promise<WrittenManifest> {
  try {
    return parseManifest(text, path);
  } catch (unreadable) {
    const before = await beforeTorn(host, text, path);
    if (before === undefined) throw unreadable;
    return parseManifest(before, backOf(path));
  }
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
