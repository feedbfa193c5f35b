/** The end of a switch that is written down: jobs that wait are ended, names and link put right, and the manifests say plainly what is current. */

import { isFile, sameFile } from "../../core/disk/chain.js";
import { fileNames, jobNames } from "../../core/disk/names.js";
import { within } from "../../core/disk/paths.js";
import { BugError } from "../../core/errors.js";
import { seeFiles } from "../../host/file-seen.js";
import { removeFile, renameWithoutReplacing } from "../../host/files.js";
import type { Host } from "../../host/host.js";
import type { Deciding, GuestView } from "../../hypervisor/hypervisor.js";
import { correctBoth } from "../../journal/corrected.js";
import type { SwitchSide } from "../../journal/decided-by.js";
import { decidedAs, type Manifest, manifestText, type WrittenManifest } from "../../journal/manifest.js";
import { manifestPaths } from "../../journal/records.js";
import { decideByRecord, dropSwitchRecord } from "../../journal/switch-record.js";
import { linkSwitchOf } from "../shared/disk-switches.js";
import { type EndedDisk, endOf, waitsForJobs, writeEndsBy } from "../shared/end-switch.js";
import { nodeAt } from "../shared/former-nodes.js";
import { recoverDisks } from "../shared/recover-switch.js";
import type { Seen, SeenDisk, Site } from "../shared/site.js";
import type { Told } from "../shared/switch.js";
import { giveNameBack, pointLink } from "./steps/endings.js";

type Ended = EndedDisk<WrittenManifest>;
type Cut = Ended["written"];

/** Every line of it may be done twice. */
export async function endSwitch(site: Site, seen: Seen, all: readonly SeenDisk[]): Promise<void> {
  const [first] = all;
  if (!first) return;
  // of two switches, each has something else that decides
  const disks = all.filter((disk) => endOf(disk).written.current.path === endOf(first).written.current.path);
  if (waitsForJobs(disks)) return recoverCut(site, seen, disks);
  await writeEnds(
    site.host,
    disks.map((disk) => endOf(disk)),
  );
}

export function writeEnds(host: Host, disks: readonly Ended[]): Promise<void> {
  return writeEndsBy(disks, {
    names: (disk) => putNamesRight(host, disk),
    hideTarget: (disk) => hideTarget(host, disk),
    manifests: (disk, side) => writePlainly(host, disk, side),
    decide: (disk, side) => decide(host, disk, side),
    forget: async ({ written: { current } }) => {
      if (current.decidedBy === "switch-record") await dropSwitchRecord(host, current.path);
    },
  });
}

async function decide(host: Host, { written }: Ended, side: SwitchSide): Promise<void> {
  const { current, link, destination } = written;
  if (current.decidedBy === "switch-record") return decideByRecord(host, current.path, side);
  if (!link) return;
  const [there, home] = [destination.directory, link.before];
  await pointLink(host, link, side === "after" ? { from: home, to: there } : { from: there, to: home });
}

/** @throws UserError if one of the two cannot be written: then what decides still does */
async function writePlainly(host: Host, { key, written, ends }: Ended, side: SwitchSide): Promise<void> {
  const { link, ...rest } = decidedAs(written, ends);
  // the link went with the disks on the other side: this disk's move goes on without one
  const manifest: Manifest = { ...rest, ...(link && ends === side && { link }) };
  const unwritten = await correctBoth(host, manifestPaths(manifest, key), manifestText(manifest));
  if (unwritten !== undefined) throw unwritten;
}

/** Only a pivot takes the former image its name. */
async function putNamesRight(host: Host, { written, ends }: Ended): Promise<void> {
  const manifest = decidedAs(written, ends);
  if (written.current.after !== manifest.destination.target) return;
  if (ends === "before") return giveNameBack(host, manifest);
  const { source, quarantine } = manifest;
  const [byName, away] = await seeFiles(host, [source.active, quarantine], "keep-links");
  if (byName && (!away || sameFile(byName, away)) && isFile(byName, source))
    await renameWithoutReplacing(host, { from: source.active, to: quarantine, known: byName });
}

/** Under the name that a target has before it is whole, where the next mirror, or the undo, removes it. QEMU may have it open still. */
async function hideTarget(host: Host, { key, written: { current, destination } }: Ended): Promise<void> {
  const { target, file, directory } = destination;
  if (current.after !== target || !file) return;
  const [there] = await seeFiles(host, [target], "keep-links");
  if (!there || !isFile(there, file)) return;
  const newborn = within(directory, fileNames.newborn(key));
  await removeFile(host, newborn);
  await renameWithoutReplacing(host, { from: target, to: newborn, known: there });
}

/** QEMU lives, and its guest's I/O waits: the host's worker ends the jobs, by what decides. */
async function recoverCut(site: Site, seen: Seen, disks: readonly SeenDisk[]): Promise<void> {
  const [first] = disks;
  if (!first) return;
  const { decided } = endOf(first);
  const cut = await Promise.all(disks.map((disk) => cutOf(site, seen, disk)));
  await recoverDisks(site, { disks: cut, deciding: decidingOf(first) }, decided);
}

function decidingOf(disk: SeenDisk): Deciding {
  const { written } = endOf(disk);
  const { decidedBy, path } = written.current;
  if (decidedBy === "switch-record") return { decidedBy, path };
  const link = linkSwitchOf(disk, disk.manifest);
  if (!link) throw new BugError(`The switch of ${disk.disk} is decided by a link that its manifest does not have.`);
  return { decidedBy, ...link };
}

/** The part of a disk in the switch that was cut, as far as it can still be done. */
async function cutOf(site: Site, { view }: Seen, disk: SeenDisk): Promise<Told> {
  const { written } = endOf(disk);
  const { current, destination, source, quarantine } = written;
  const { disk: name, key, qdev } = disk;
  const part = { disk: name, qdev, source: current.before, target: { path: current.after } };
  if (current.after === destination.target) {
    const standIn = isRaw(written) && written.overlay === undefined ? "needed" : "none";
    const job = { id: jobNames.mirror(key), kind: "copy" } as const;
    return { ...part, job, node: destination.node, stale: { active: source.active, quarantine, standIn } };
  }
  const job = { id: jobNames.commit(key), kind: "active-commit" } as const;
  return { ...part, job, node: await committedNode(site, { view, disk }, written) };
}

/** By the name that it was opened by, if it was: this ends the wait of guest I/O, so nothing is asked that may be refused. */
async function committedNode(site: Site, at: { view: GuestView; disk: SeenDisk }, { current, overlay }: Cut): Promise<string> {
  const { view, disk } = at;
  if (disk.image.chain[0].path === current.after) return disk.image.activeNode;
  const name = current.after === overlay?.landing ? overlay.landingNode : undefined;
  return name !== undefined && view.nodes.some((node) => node.name === name) ? name : nodeAt(site, at, 1);
}

/** As the chain had it when the move was drafted. */
function isRaw({ chain }: Pick<Manifest, "chain">): boolean {
  return chain?.[0]?.format === "raw";
}
