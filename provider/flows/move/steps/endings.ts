/** The ends of a move: tidied after the switch, undone before it, set back where what is written down of a switch is not where the guest is. */

import { isFile, sameFile } from "../../../core/disk/chain.js";
import {
  backOf,
  fileNames,
  formerDefinition,
  formerSwitchLock,
  markOf,
  nextOf,
  nodeNames,
  standInNames,
} from "../../../core/disk/names.js";
import { baseName, directoryOf, within } from "../../../core/disk/paths.js";
import { seeFiles } from "../../../host/file-seen.js";
import { removeFile, removeFiles, renameWithoutReplacing } from "../../../host/files.js";
import type { Host } from "../../../host/host.js";
import { makeSymlink, readLink } from "../../../host/links.js";
import { correctBoth } from "../../../journal/corrected.js";
import { currentStanding, type Manifest, manifestText, pathOf, type Standing } from "../../../journal/manifest.js";
import { manifestPaths, removeRecords } from "../../../journal/records.js";
import { dropSwitchRecord } from "../../../journal/switch-record.js";
import { keepLayer, leaveLayer } from "../../../storage/directory/sidecar.js";
import { linkMovesIn } from "../../shared/disk-switches.js";
import { closable } from "../../shared/former-nodes.js";
import type { Outcome } from "../../shared/outcome.js";
import { removeOwn } from "../../shared/own-images.js";
import type { RecordedDisk, Seen, SeenDisk, Site } from "../../shared/site.js";
import { removeTarget, withProvedTarget } from "./mirroring.js";

type Overlay = NonNullable<Manifest["overlay"]>;

/** How the last of a move's records goes: with the locks, where nothing is to be done after it. */
type RemoveLast = (manifest: string) => Promise<void>;

/** After the switch: the former chain is closed, the former image put where it belongs, and no manifest, lock or small file of the move stays. */
export async function tidy(site: Site, seen: Seen, disk: RecordedDisk, outcome: Outcome, removeLast?: RemoveLast): Promise<void> {
  const { manifest } = disk;
  if (manifest.link) await pointLink(site.host, manifest.link, { from: manifest.link.before, to: manifest.destination.directory });
  const left = await closeFormer(site, seen, disk, outcome);
  await putAwayFormerImage(site, manifest, outcome);
  for (const stays of await removeOverlays(site, disk, manifest, left)) outcome.left(disk.disk, stays);
  for (const { coming, source, destination } of manifest.layers) {
    if (coming === "copy" && !isPassing(manifest, destination)) await keepLayer(site.host, destination, disk.key);
    if (source !== manifest.source.active) outcome.left(disk.disk, `${source}: other disks may stand on it`);
  }
  await removeScaffold(site, disk, manifest);
  await removeRecords(site.host, disk.key, manifest, "destination", removeLast);
}

/** Closes what the guest stood on before; names of what QEMU keeps open. */
async function closeFormer(site: Site, seen: Seen, disk: RecordedDisk, outcome: Outcome): Promise<string[]> {
  const { destination, overlay } = disk.manifest;
  const passed = overlay ? [overlay.node, ...(disk.standing === "landing" ? [destination.node] : [])] : [];
  const kept = await site.guest.closeNodes([...passed, ...closable(seen, disk, disk.manifest)]);
  for (const { node, why } of kept) outcome.left(disk.disk, `node ${node}: ${why}`);
  return kept.map(({ node }) => node);
}

/** The copied former image whose content was pulled up. */
function isPassing({ overlay }: Manifest, path: string): boolean {
  return overlay?.collapse === "pull" && overlay.landing === path;
}

/**
 * Their content is recorded to live on: `current` is what was mirrored from them, or what they were committed into. None is open.
 * @returns what stays, and why
 */
async function removeOverlays(site: Site, disk: SeenDisk, manifest: Manifest, open: readonly string[]): Promise<string[]> {
  const { overlay, destination } = manifest;
  if (!overlay || currentStanding(manifest) === "overlay") return [];
  const stays = open.includes(overlay.node) ? [] : await removeOverlay(site, overlay);
  if (disk.standing === "landing" && overlay.committed === "destination" && !open.includes(destination.node))
    await removeTarget(site, disk, manifest);
  const passing: string[] = [];
  const leaving = { stop: new AbortController().signal, kept: (what: string) => passing.push(what) };
  if (overlay.collapse === "pull") await leaveLayer(site.host, overlay.landing, disk.key, leaving);
  return [...stays, ...passing];
}

/** Of one that a run was about to make when it was cut only the name is recorded, which nobody else gives. @returns what stays, and why */
async function removeOverlay({ host }: Site, { path, made }: Overlay): Promise<string[]> {
  const kept = await removeOwn(host, { path, made, named: "by us", maker: "this move" });
  return kept ? [`${path} ${kept.why}`] : [];
}

/** The switch renamed it. If QEMU ended in the middle of the switch, it still has its old name: nobody has it open, so it is renamed now. */
async function putAwayFormerImage(site: Site, manifest: Manifest, outcome: Outcome): Promise<void> {
  const { source, quarantine, disk } = manifest;
  await removeStandIn(site.host, manifest);
  const [byName] = await seeFiles(site.host, [source.active], "keep-links");
  const kept = manifest.afterwards === "keep";
  if (byName && isFile(byName, source) && !kept)
    await renameWithoutReplacing(site.host, { from: source.active, to: quarantine, known: byName });
  const [there] = await seeFiles(site.host, [quarantine], "keep-links");
  if (!there || !isFile(there, source)) return;
  if (manifest.afterwards === "delete") {
    const stays = await removeOwn(site.host, { path: quarantine, made: source, named: "by us", maker: "this move" });
    if (stays) outcome.left(disk, `${quarantine} ${stays.why}`);
    return;
  }
  if (kept) await renameWithoutReplacing(site.host, { from: quarantine, to: source.active, known: there });
  outcome.left(disk, `${kept ? source.active : quarantine}: the image that was active before`);
}

function sayKept({ run, guest, host }: Site, { disk }: SeenDisk, what: string): void {
  run.say("warning", `${disk} of ${guest.name} on ${host.name}: ${what}, so it was kept.`);
}

/** Before the switch: the source's exact chain, and nothing of ours at the destination. Every line of it may be done twice. */
export async function clear(site: Site, seen: Seen, disk: RecordedDisk, removeLast?: RemoveLast): Promise<void> {
  const manifest = await withProvedTarget(site, seen, disk.manifest);
  const { destination, overlay } = manifest;
  const strange = overlay ? closable(seen, disk, manifest) : [];
  await site.guest.closeNodes([destination.node, ...(overlay ? [overlay.landingNode, overlay.node] : []), ...strange]);
  await removeTarget(site, disk, manifest);
  for (const { coming, destination: copied } of manifest.layers) {
    const leaving = { stop: new AbortController().signal, kept: (what: string) => sayKept(site, disk, what) };
    if (coming === "copy") await leaveLayer(site.host, copied, disk.key, leaving);
  }
  // committed down, or never written to: the observation has made sure of one of the two
  const stays = overlay ? await removeOverlay(site, overlay) : [];
  for (const what of stays) sayKept(site, disk, what);
  await removeScaffold(site, disk, manifest);
  await removeRecords(site.host, disk.key, manifest, "source", removeLast);
}

/**
 * What the guest runs on is right, and must be found again, whatever of the next switch was written down before a run was cut. The
 * names first, then the link, then `current`, on both sides. Every line of it may be done twice.
 * @throws UserError if the destination cannot be written, but not while the guest's I/O waits: the source's manifest is enough to let it go on
 */
export async function setBack(site: Site, disk: SeenDisk, manifest: Manifest): Promise<void> {
  const { destination, link } = manifest;
  const { standing } = disk;
  const isAtSource = standing === "former" || standing === "overlay";
  if (isAtSource) await giveNameBack(site.host, manifest);
  const moved = isAtSource ? "pivot" : standing === "target" ? "collapse" : "none";
  if (link && linkMovesIn(manifest) === moved) await pointLink(site.host, link, { from: destination.directory, to: link.before });
  const unwritten = await correctBoth(site.host, manifestPaths(manifest, disk.key), manifestText(manifestAt(manifest, standing)));
  if (unwritten !== undefined && disk.seen.phase !== "pending") throw unwritten;
}

/** What it says of a guest that stands there, whatever of a switch was written down. */
export function manifestAt(manifest: Manifest, standing: Standing): Manifest {
  const { switched: _, ...before } = { ...manifest, current: pathOf(manifest, standing) };
  return manifest.overlay ? { ...before, overlay: committedAt(manifest.overlay, standing) } : before;
}

/** The former image's, which a pivot takes away. */
export async function giveNameBack(host: Host, manifest: Manifest): Promise<void> {
  const { source, quarantine } = manifest;
  await removeStandIn(host, manifest);
  const [byName, away] = await seeFiles(host, [source.active, quarantine], "keep-links");
  if (away && (!byName || sameFile(byName, away)) && isFile(away, source))
    await renameWithoutReplacing(host, { from: quarantine, to: source.active, known: away });
}

function committedAt({ committed: _, ...overlay }: Overlay, standing: Standing): Overlay {
  return standing === "landing" ? { ...overlay, committed: "destination" } : overlay;
}

/** What the switch may have put at the former image's name (flows/shared/switch.ts). */
async function removeStandIn(host: Host, { source, quarantine }: Manifest): Promise<void> {
  if ((await readLink(host, source.active)) === baseName(standInNames(quarantine).empty)) await removeFile(host, source.active);
}

/** Re-points the move's link, atomically. A link that says something else by now is somebody's decision, and stays. */
export async function pointLink(host: Host, { path }: { path: string }, { from, to }: { from: string; to: string }): Promise<void> {
  if ((await readLink(host, path)) === from) await makeSymlink(host, to, path);
}

/** Small files of a move that may be left from a step that was cut. */
async function removeScaffold(site: Site, disk: SeenDisk, manifest: Manifest): Promise<void> {
  await site.guest.closeNodes([nodeNames.probe(disk.key), ...manifest.layers.map((_, index) => nodeNames.held(disk.key, index + 1))]);
  const { source, destination } = manifestPaths(manifest, disk.key);
  const beside = [source, destination].flatMap((path) => [nextOf(path), backOf(path), markOf(path)]);
  const small = [...beside, formerDefinition(source), formerSwitchLock(source)];
  const links = manifest.link ? [fileNames.linkNext(manifest.link.path, disk.key), fileNames.linkBack(manifest.link.path, disk.key)] : [];
  const { directory } = manifest.destination;
  const made = [fileNames.probe(disk.key), fileNames.newborn(disk.key)].map((name) => within(directory, name));
  const standIn = Object.values(standInNames(manifest.quarantine));
  await removeFiles(site.host, [...small, ...links, ...made, ...standIn]);
  await dropSwitchRecord(site.host, within(directoryOf(source), fileNames.switchRecord(disk.key)));
}
