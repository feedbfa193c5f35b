/** The first steps: everything is asked, then the snapshot is written down beside `file`, then beside `mirror`. */

import { posix } from "node:path";
import { whichOf } from "../../core/disk/chain.js";
import type { DiskKey } from "../../core/disk/names.js";
import { nodeNames, quarantineName } from "../../core/disk/names.js";
import { baseName, directoryOf, within } from "../../core/disk/paths.js";
import { BugError } from "../../core/errors.js";
import type { Moment } from "../../core/world.js";
import { seeFiles } from "../../host/file-seen.js";
import { realPath } from "../../host/files.js";
import type { GuestView } from "../../hypervisor/hypervisor.js";
import type { Part, SnapshotManifest } from "../../journal/snapshot-manifest.js";
import { writeSnapshotRecords } from "../../journal/snapshot-records.js";
import { liveChain } from "../shared/live-chain.js";
import { checkDisks } from "./others.js";
import { checkDisk, checkExternal, checkHypervisor, checkNamesAreFree, verb } from "./preflight.js";
import { refusal, type Seen, type SeenDisk, type SnapshotSite } from "./site.js";

/** Refuses all of them, or writes all of them down. */
export async function begin(site: SnapshotSite, seen: Seen, disks: readonly SeenDisk[]): Promise<void> {
  checkHypervisor(site);
  for (const disk of disks) await checkDisk(site, seen.view, disk);
  await checkDisks(site, verb, disks);
  const now = site.run.world.now();
  const drafts: { key: DiskKey; manifest: SnapshotManifest }[] = [];
  for (const disk of disks) drafts.push({ key: disk.key, manifest: await draft(site, seen.view, disk, now) });
  for (const { key, manifest } of drafts) await writeSnapshotRecords(site.host, key, manifest, "source");
}

async function draft(site: SnapshotSite, view: GuestView, disk: SeenDisk, now: Moment): Promise<SnapshotManifest> {
  const { wanted, image, active, qdev, key } = disk;
  const chain = await openChain(site, disk);
  const [former] = chain;
  if (!former) throw new BugError(`${active.named} was found a moment ago, and is not there.`);
  const taken = new Set(view.nodes.map(({ name }) => name));
  const [home, away] = await seeFiles(site.host, [directoryOf(wanted.file), directoryOf(wanted.mirror)], "follow");
  const parts = site.reuseExternal ? await externalParts(site, disk) : await newParts(site, disk);
  return {
    ...{ kind: "mirrored-snapshot", version: 1, domainId: view.domainId, qdev, disk: disk.disk, startedAt: now.toISOString() },
    former: { ...former, path: active.named, format: image.chain[0].format },
    chain,
    ...(home && away && { directories: { source: home.identity, destination: away.identity } }),
    generation: 1,
    virtualBytes: image.chain[0].virtualBytes,
    file: { path: wanted.file, node: freeSnapshotName(key, taken), ...parts.file },
    mirror: {
      path: wanted.mirror,
      node: nodeNames.targets(key).find((name) => !taken.has(name)) ?? nodeNames.targets(key)[0],
      ...parts.mirror,
    },
    quarantine: within(directoryOf(wanted.file), quarantineName(baseName(wanted.file), key, now)),
    formerNodes: [],
    current: active.named,
  };
}

/** Each layer is the very file that QEMU has open under its name. */
async function openChain(site: SnapshotSite, { disk, image }: SeenDisk): Promise<NonNullable<SnapshotManifest["chain"]>> {
  const { layers, open } = await liveChain(site.host, image, await site.guest.process());
  return layers.map(({ path, format, file }) => {
    if (file && (!open || open.has(`${file.dev}:${file.ino}`))) return { path, format, ...whichOf(file) };
    const why = file
      ? `its layer ${path} is another file than the one that QEMU has open under that name`
      : `its layer ${path} is not there`;
    throw refusal(site, "take a mirrored snapshot of", disk)(why, "Put the file back that the guest was started with, then run again.");
  });
}

/** An aborted snapshot leaves its overlay open as the active image, so the next one has another name. */
function freeSnapshotName(key: DiskKey, taken: ReadonlySet<string>): string {
  for (let number = 0; ; number++) if (!taken.has(nodeNames.snapshot(key, number))) return nodeNames.snapshot(key, number);
}

type Header = Omit<Part, "path" | "node">;

/** Both name the active image relatively, as seen from `file`: from the mirror's directory the same name leads to the copy. */
async function newParts(site: SnapshotSite, disk: SeenDisk): Promise<{ file: Header; mirror: Header }> {
  await checkNamesAreFree(site, disk);
  const { image, active, wanted } = disk;
  const home = await realPath(site.host, directoryOf(wanted.file));
  const name = posix.relative(home, within(active.directory, baseName(active.named)));
  const creation = image.creation.format === "qcow2" ? image.creation.options : {};
  const part: Header = { made: "here", backing: { name, format: image.chain[0].format }, creation: { ...creation } };
  return { file: part, mirror: part };
}

async function externalParts(site: SnapshotSite, disk: SeenDisk): Promise<{ file: Header; mirror: Header }> {
  return { file: await externalPart(site, disk, "file"), mirror: await externalPart(site, disk, "mirror") };
}

async function externalPart(site: SnapshotSite, disk: SeenDisk, role: "file" | "mirror"): Promise<Header> {
  const { backingName = "", backingFormat = "", options } = await checkExternal(site, disk, role);
  const [is] = await seeFiles(site.host, [disk.wanted[role]], "follow");
  if (!is) throw new BugError(`${disk.wanted[role]} was found a moment ago, and is not there.`);
  return {
    made: "before",
    backing: { name: backingName, format: backingFormat },
    creation: { ...options },
    is: whichOf(is),
  };
}
