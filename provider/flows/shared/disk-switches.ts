/** What each switch of a move is, for each of its disks and for their link. */

import { type FileIdentity, type WhichFile, whichOf } from "../../core/disk/chain.js";
import type { LayerFile } from "../../core/disk/chain-options.js";
import { fileNames, jobNames } from "../../core/disk/names.js";
import { directoryOf, within } from "../../core/disk/paths.js";
import { BugError } from "../../core/errors.js";
import { seeFiles } from "../../host/file-seen.js";
import type { Deciding, DiskSwitch, LinkSwitch, ManifestSwitch, OpenText } from "../../hypervisor/hypervisor.js";
import type { Undecided } from "../../journal/decided-by.js";
import { raised } from "../../journal/generation.js";
import { frozenFormat, type Manifest, manifestText, pathOf } from "../../journal/manifest.js";
import { manifestPaths } from "../../journal/records.js";
import { nodeAt } from "./former-nodes.js";
import type { RecordedDisk, Seen, SeenDisk, Site } from "./site.js";
import type { Named } from "./switch.js";

export interface SwitchedAt {
  site: Site;
  seen: Seen;
  /** Absent: where the guest runs decides, and the manifests say plainly what is current. */
  deciding?: Deciding | undefined;
}

/** The pivot of a disk's mirror: from the former image, or from the overlay on top of it, to the target. */
export async function pivotOf(at: SwitchedAt, disk: RecordedDisk): Promise<Named<DiskSwitch>> {
  const { manifest, key, image } = disk;
  const { source, quarantine, destination } = manifest;
  const { format } = image.chain[0];
  // under an overlay the image has no writer any more, so nothing opens it again
  const standIn = at.deciding && manifest.overlay === undefined && format === "raw" ? "needed" : "none";
  return {
    ...(await partOf(at, disk, { target: { path: destination.target, format }, after: manifest })),
    job: { id: jobNames.mirror(key), kind: "copy" },
    node: destination.node,
    stale: { active: source.active, quarantine, standIn },
  };
}

/** The end of the commit of the target down into the landed copy of the former image. */
export function collapseOf(at: SwitchedAt, disk: RecordedDisk): Promise<Named<DiskSwitch>> {
  return commitOf(at, disk, "landing");
}

/** The end of the commit of the overlay down into the former image, on the way back. */
export function foldOf(at: SwitchedAt, disk: RecordedDisk): Promise<Named<DiskSwitch>> {
  return commitOf(at, disk, "former");
}

async function commitOf(at: SwitchedAt, disk: RecordedDisk, to: "landing" | "former"): Promise<Named<DiskSwitch>> {
  const { manifest, key, image } = disk;
  const after = committedTo(manifest, to === "landing" ? "destination" : "source");
  const target = { path: pathOf(manifest, to), format: frozenFormat(manifest) };
  // libvirt has one name for the disk, whichever image is active
  const node = at.deciding ? await nodeAt(at.site, { view: at.seen.view, disk }, 1) : image.activeNode;
  return { ...(await partOf(at, disk, { target, after })), job: { id: jobNames.commit(key), kind: "active-commit" }, node };
}

/** The manifest after the switch, but for `current`. */
export function committedTo(manifest: Manifest, committed: "source" | "destination"): Manifest {
  if (!manifest.overlay) throw new BugError("A commit was chosen for a move without an overlay.");
  return { ...manifest, overlay: { ...manifest.overlay, committed } };
}

/** @param after the manifest then, but for `current` and what that file is */
async function partOf({ site, deciding }: SwitchedAt, disk: RecordedDisk, { target, after }: { target: LayerFile; after: Manifest }) {
  const { disk: name, key, qdev, manifest, image } = disk;
  const { current: source } = manifest;
  const texts = deciding
    ? { next: await openTextOf(site, after, { decidedBy: deciding.decidedBy, path: deciding.path, before: source, after: target.path }) }
    : plainTexts(source, target.path, after);
  const now = manifestText(manifest);
  const manifests = Object.values(manifestPaths(manifest, key)).map((path): ManifestSwitch => ({ path, now, ...texts }));
  return { disk: name, qdev, source, chain: image.chain, target, manifests };
}

async function openTextOf({ host }: Site, after: Manifest, current: Undecided): Promise<OpenText> {
  const [left, entered] = await seeFiles(host, [current.before, current.after], "follow");
  if (!left || !entered)
    throw new BugError(`The switch of ${after.disk} goes from ${current.before} to ${current.after}, and one of the two is not there.`);
  const { switched: _, ...rest } = after;
  const pending = { before: notYetMeasured(left), after: notYetMeasured(entered) };
  return openText(manifestText({ ...raised(rest), current, pending }));
}

/**
 * A guest on the former image may also have been started there by hand, without what it wrote to the overlay. The images do not tell the two
 * apart, so a commit down to it is marked in the manifests before its pivot: a guest that is there then has got there by the commit.
 */
function plainTexts(source: string, target: string, after: Manifest): Pick<ManifestSwitch, "next" | "mark"> {
  const next = [manifestText({ ...after, current: target })] as const;
  return after.overlay?.committed === "source" ? { next, mark: manifestText({ ...after, current: source }) } : { next };
}

/** For `pending` in the text of a manifest: sizes and times are known only in the switch. */
export function notYetMeasured(file: WhichFile): FileIdentity {
  return { ...whichOf(file), sizeBytes: 0, modified: "" };
}

/** A manifest without the sizes and times of {@link notYetMeasured}. */
export function openText(text: string): OpenText {
  const [head, afterSource, afterTarget, ...more] = text.split(/"sizeBytes": 0,\s*"modified": ""/);
  if (head === undefined || afterSource === undefined || afterTarget === undefined || more.length > 0)
    throw new BugError("A manifest of a switch has not the two places for sizes and times.");
  return [head, afterSource, afterTarget];
}

/**
 * The link decides where the guest's command line goes by it and it moves with this switch; else the switch record, beside the first disk's
 * manifest at the source.
 */
export function decidingOf(disk: SeenDisk, manifest: Manifest, linkMoves: boolean): Deciding {
  const link = linkMoves ? linkSwitchOf(disk, manifest) : undefined;
  if (link) return { decidedBy: "link", ...link };
  const home = directoryOf(manifestPaths(manifest, disk.key).source);
  return { decidedBy: "switch-record", path: within(home, fileNames.switchRecord(disk.key)) };
}

/** All disks of a move are behind the same link, so the first one's manifest names it. */
export function linkSwitchOf(disk: SeenDisk | undefined, manifest: Manifest | undefined): LinkSwitch | undefined {
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
