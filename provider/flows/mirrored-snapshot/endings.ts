/** The ends of a snapshot: taken back before it was taken, dropped by an abort, tidied after a pivot, set back where a pivot never happened. */

import { isFile, sameFile } from "../../core/disk/chain.js";
import { type DiskKey, jobNames, nodeNames } from "../../core/disk/names.js";
import { seeFiles } from "../../host/file-seen.js";
import { renameWithoutReplacing } from "../../host/files.js";
import type { GuestView } from "../../hypervisor/hypervisor.js";
import { overlayContent } from "../../image/overlay.js";
import { correctBoth } from "../../journal/corrected.js";
import { snapshotManifestText } from "../../journal/snapshot-manifest.js";
import { manifestPaths, removeSnapshotRecords } from "../../journal/snapshot-records.js";
import { removeOurs } from "./files.js";
import { type RecordedDisk, refusal, runsOn, type Seen, type SnapshotSite } from "./site.js";

/** Our nodes of copied chains; those that a disk stands on cannot be closed, and stay. */
export function copiedNodes(view: Pick<GuestView, "nodes">, key: DiskKey): string[] {
  const first = nodeNames.copied(key, 0).slice(0, -1);
  return view.nodes.flatMap(({ name }) => (name.startsWith(first) && !name.endsWith("-file") ? [name] : []));
}

/** Before the snapshot: nothing of the guest has changed, and nothing of ours stays. Every line of it may be done twice. */
export async function clear(site: SnapshotSite, disk: RecordedDisk): Promise<void> {
  const { file, mirror } = disk.manifest;
  await close(site, disk, [nodeNames.probe(disk.key), file.node]);
  const [there] = await seeFiles(site.host, [file.path], "keep-links");
  const holdsWrites = there && file.is && isFile(there, file.is) && (await overlayContent(site.host, file.path)) === "holds-writes";
  for (const part of holdsWrites ? [mirror] : [file, mirror]) {
    const stays = await removeOurs(site, disk, part);
    if (stays !== undefined && part.made === "here")
      site.run.say("warning", `${disk.disk} of ${site.guest.name} on ${site.host.name}: ${part.path} ${stays}, so it was kept.`);
  }
  await removeSnapshotRecords(site.host, disk.key, disk.manifest, "source");
}

/** The abort: the mirror goes, the overlay stays with the guest on it. */
export async function drop(site: SnapshotSite, { view }: Seen, disk: RecordedDisk): Promise<void> {
  const { file, mirror } = disk.manifest;
  await close(site, disk, [mirror.node]);
  await site.guest.closeNodes(copiedNodes(view, disk.key));
  const stays = await removeOurs(site, disk, mirror);
  await removeSnapshotRecords(site.host, disk.key, disk.manifest, "source");
  const leftover = stays === undefined ? "" : ` ${mirror.path} stays, since it ${stays}; what the mirror wrote is of no use.`;
  site.run.say("warning", `${disk.disk} of ${site.guest.name} stays on ${file.path}: a boot must use that.${leftover}`);
}

/** After the pivot: the former chain is closed, and the overlay has a name by which no boot finds it. */
export async function tidy(site: SnapshotSite, { view }: Seen, disk: RecordedDisk): Promise<void> {
  const { manifest, key } = disk;
  const job = view.jobs.find(({ id }) => id === jobNames.mirror(key));
  if (job?.status === "concluded") await site.guest.dismiss(job.id);
  const left = await site.guest.closeNodes(manifest.formerNodes.filter((node) => node !== disk.image.activeNode));
  for (const { node, why } of left) site.run.say("info", `${disk.disk}: the node ${node} stays open (${why}).`);
  await putAway(site, disk);
  await removeSnapshotRecords(site.host, key, manifest, "destination");
  const stale = `${manifest.quarantine} is what ${manifest.file.path} was, and may be deleted.`;
  site.run.say("warning", `${disk.disk} of ${site.guest.name} runs on ${manifest.mirror.path}: a boot must use that. ${stale}`);
}

/** The pivot renamed it. If QEMU ended in the middle of it, it still has its old name: nobody has it open, so it is renamed now. */
async function putAway(site: SnapshotSite, { manifest }: RecordedDisk): Promise<void> {
  const { file, quarantine } = manifest;
  const [byName] = await seeFiles(site.host, [file.path], "keep-links");
  if (byName && file.is && isFile(byName, file.is))
    await renameWithoutReplacing(site.host, { from: file.path, to: quarantine, known: byName });
}

/**
 * A pivot was written down, and then the guest was not let go: `file` is right, and must be found again.
 * @throws UserError if the mirror's side cannot be written, but not while the guest's I/O waits
 */
export async function setBack(site: SnapshotSite, disk: RecordedDisk): Promise<void> {
  const { file, quarantine } = disk.manifest;
  const [byName, away] = await seeFiles(site.host, [file.path, quarantine], "keep-links");
  if (away && (!byName || sameFile(byName, away)) && file.is && isFile(away, file.is))
    await renameWithoutReplacing(site.host, { from: quarantine, to: file.path, known: away });
  const { switched: _, ...before } = { ...disk.manifest, current: file.path };
  const paths = manifestPaths(before, disk.key);
  const unwritten = await correctBoth(site.host, paths, snapshotManifestText(before));
  if (unwritten !== undefined && disk.seen.phase !== "pending") throw unwritten;
}

/** A node that stays open has its file in use: then the file must stay too. */
async function close(site: SnapshotSite, { disk, manifest }: RecordedDisk, nodes: readonly string[]): Promise<void> {
  const [left] = await site.guest.closeNodes(nodes);
  if (!left) return;
  const advice = "Look with `query-named-block-nodes` at what uses it, then run again.";
  throw refusal(site, "end the mirrored snapshot of", disk)(
    `QEMU keeps its node ${left.node} (${left.why})`,
    advice,
    runsOn(manifest.current),
  );
}
