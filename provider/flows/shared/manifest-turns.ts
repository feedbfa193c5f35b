/** What each switch of a move is, for each of its disks and for their link. */

import { fileNames, jobNames } from "../../core/disk/names.js";
import { directoryOf, within } from "../../core/disk/paths.js";
import { BugError } from "../../core/errors.js";
import { seeFiles } from "../../host/file-seen.js";
import type { Undecided } from "../../journal/decided-by.js";
import { raised } from "../../journal/generation.js";
import { type Manifest, manifestText, pathOf, type Standing } from "../../journal/manifest.js";
import { manifestPaths } from "../../journal/records.js";
import { nodeAt } from "./former-nodes.js";
import type { Seen, SeenDisk, Site } from "./site.js";
import { type DecidingTurn, type LinkTurn, notYetMeasured, recordTurns, type Turn } from "./turn.js";

export interface SwitchedAt {
  site: Site;
  seen: Seen;
  /** What decides the switch. */
  decidedBy: Pick<Undecided, "decidedBy" | "path">;
}

/** The pivot of a disk's mirror: from the former image, or from the overlay on top of it, to the target. */
export async function pivotTurn(at: SwitchedAt, disk: SeenDisk, manifest: Manifest): Promise<Turn> {
  const { source, quarantine, destination } = manifest;
  const jobId = jobNames.mirror(disk.key);
  // under an overlay the image has no writer any more, so nothing opens it again
  const standIn = manifest.overlay === undefined && disk.image.chain[0].format === "raw" ? "needed" : "none";
  return {
    ...(await turnTo(at, disk, { manifest, to: "target", jobId, node: destination.node })),
    stale: { active: source.active, quarantine, standIn },
  };
}

/** The end of the commit of the target down into the landed copy of the former image. */
export function collapsedTurn(at: SwitchedAt, disk: SeenDisk, manifest: Manifest): Promise<Turn> {
  return commitTurn(at, disk, { manifest: committedTo(manifest, "destination"), to: "landing" });
}

/** The end of the commit of the overlay down into the former image, on the way back. */
export function foldedTurn(at: SwitchedAt, disk: SeenDisk, manifest: Manifest): Promise<Turn> {
  return commitTurn(at, disk, { manifest: committedTo(manifest, "source"), to: "former" });
}

async function commitTurn(at: SwitchedAt, disk: SeenDisk, ending: Pick<Ending, "manifest" | "to">): Promise<Turn> {
  const node = await nodeAt(at.site, { view: at.seen.view, disk }, 1);
  return turnTo(at, disk, { ...ending, jobId: jobNames.commit(disk.key), node });
}

/** The manifest after the switch, but for `current`. */
export function committedTo(manifest: Manifest, committed: "source" | "destination"): Manifest {
  if (!manifest.overlay) throw new BugError("A commit was chosen for a move without an overlay.");
  return { ...manifest, overlay: { ...manifest.overlay, committed } };
}

interface Ending {
  /** As it is after the switch, but for `current` and what that file is. */
  manifest: Manifest;
  to: Standing;
  jobId: string;
  /** The node that the job lets take the guest's writes. */
  node: string;
}

async function turnTo({ site, decidedBy }: SwitchedAt, seen: SeenDisk, { manifest, to, jobId, node }: Ending): Promise<Turn> {
  const { disk, key, qdev, manifest: now } = seen;
  const target = pathOf(manifest, to);
  if (!now) throw new BugError(`The switch of ${disk} was begun without its manifest.`);
  const [left, file] = await seeFiles(site.host, [now.current, target], "follow");
  if (!left || !file) throw new BugError(`The switch of ${disk} goes from ${now.current} to ${target}, and one of the two is not there.`);
  const pending = { before: notYetMeasured(left), after: notYetMeasured(file) };
  const current = { ...decidedBy, before: now.current, after: target };
  const { switched: _, ...after } = manifest;
  const { source, destination } = manifestPaths(manifest, key);
  const texts = { now: manifestText(now), after: manifestText({ ...raised(after), current, pending }) };
  return {
    ...{ disk, key, qdev, jobId, node, source: now.current, target },
    records: recordTurns([source, destination], texts),
  };
}

/**
 * The link decides where the guest's command line goes by it and it moves with this switch; else the switch record, beside the first disk's
 * manifest at the source.
 */
export function decidingTurn(disk: SeenDisk, manifest: Manifest, linkMoves: boolean): DecidingTurn {
  const link = linkMoves ? linkTurn(disk, manifest) : undefined;
  if (link) return { decidedBy: "link", ...link };
  const home = directoryOf(manifestPaths(manifest, disk.key).source);
  return { decidedBy: "switch-record", path: within(home, fileNames.switchRecord(disk.key)) };
}

/** All disks of a move are behind the same link, so the first one's manifest names it. */
export function linkTurn(disk: SeenDisk | undefined, manifest: Manifest | undefined): LinkTurn | undefined {
  if (!disk || !manifest?.link) return undefined;
  const { path, before } = manifest.link;
  return {
    path,
    next: { path: fileNames.linkNext(path, disk.key), leadsTo: manifest.destination.directory },
    back: { path: fileNames.linkBack(path, disk.key), leadsTo: before },
  };
}

/**
 * Whether the link is re-pointed in the pivot, or only when the target is collapsed: until then the name at the destination
 * under which a boot would look is the frozen copy.
 */
export function linkMovesIn({ overlay }: Manifest): "pivot" | "collapse" {
  return overlay?.collapse === "commit" ? "collapse" : "pivot";
}
