/** Taking the snapshot of all disks at once, and mirroring each. */

import { jobNames, nodeNames } from "../../core/disk/names.js";
import { isKind } from "../../core/errors.js";
import type { TargetOptions } from "../../hypervisor/hypervisor.js";
import { checkOpenedFile } from "../../hypervisor/opened.js";
import { writeSnapshotRecords } from "../../journal/snapshot-records.js";
import { adviceOf, inWords, orRefusal, wordsOf } from "../shared/complaint.js";
import { namedNodes } from "../shared/former-nodes.js";
import { clear, copiedNodes } from "./endings.js";
import { emptyMirror, makeFiles } from "./files.js";
import { verb } from "./preflight.js";
import { graphGuestOf, graphOf, type RecordedDisk, refusal, runsOn, type Seen, type SnapshotSite } from "./site.js";

/**
 * One transaction over all disks. Until it is through nothing of the guest has changed, so whatever is refused before is taken back
 * as a whole: the snapshot is taken of all disks, or of none.
 */
export async function takeSnapshot(site: SnapshotSite, disks: readonly RecordedDisk[]): Promise<void> {
  try {
    for (const disk of disks) await openOverlay(site, disk);
    for (const { key, manifest } of disks) {
      manifest.current = manifest.file.path;
      await writeSnapshotRecords(site.host, key, manifest);
    }
    await freeze(site, disks);
  } catch (thrown) {
    // a cut connection leaves it open whether the guest was frozen: the next look tells
    if (isKind(thrown, "user")) for (const disk of disks) await clear(site, disk);
    throw thrown;
  }
  for (const { disk, manifest } of disks) {
    const { path } = manifest.file;
    site.run.say(
      "warning",
      `From now on a boot of ${site.guest.name} must use ${path} for ${disk}: ${manifest.former.path} alone is a stale disk.`,
    );
  }
}

function freeze(site: SnapshotSite, disks: readonly RecordedDisk[]): Promise<void> {
  const names = disks.map(({ disk }) => disk).join(", ");
  return orRefusal(
    () => graphOf(site).snapshot(disks.map(({ image, manifest }) => ({ node: image.activeNode, overlay: manifest.file.node }))),
    (why, advice, cause) => refusal(site, verb, names)(why, advice, { cause }),
  );
}

/** The mirror's place is tried too: what QEMU may not do there must not show after the snapshot is taken. */
async function openOverlay(site: SnapshotSite, disk: RecordedDisk): Promise<void> {
  const { file, mirror } = disk.manifest;
  await site.guest.closeNodes([file.node]);
  await makeFiles(site, disk);
  try {
    await site.guest.probe(nodeNames.probe(disk.key), mirror.path, disk.image.cache);
    await graphOf(site).openOverlay(file.node, optionsOf(disk, file.path));
    await checkOpenedFile(graphGuestOf(site), file, file.is);
  } catch (cause) {
    if (!isKind(cause, "user")) throw cause;
    const why = `its QEMU cannot open the files (${wordsOf(cause)})`;
    const advice = adviceOf(cause) ?? "Let the guest's QEMU use both places: owner, mode, AppArmor, SELinux, mount namespace.";
    throw refusal(site, verb, disk.disk)(why, advice, { cause });
  }
}

/** The same for the overlay, the mirror and the copied layers: as the active image is open. */
export function optionsOf({ image }: Pick<RecordedDisk, "image">, path: string, format = "qcow2"): TargetOptions {
  return { path, format, cache: image.cache, detectZeroes: image.detectZeroes };
}

/**
 * The mirror stands on the source's own backing node until the pivot, since nothing is copied yet: opened without a backing it would
 * lose the rest of every cluster that a small write touches (decisions/0002).
 */
export async function startMirror(site: SnapshotSite, { view }: Seen, disk: RecordedDisk): Promise<void> {
  const { manifest, key, image } = disk;
  const { mirror } = manifest;
  await site.guest.closeNodes([mirror.node, ...copiedNodes(view, key)]);
  await emptyMirror(site, disk);
  manifest.file.node = image.activeNode;
  manifest.formerNodes = namedNodes(view, image);
  await writeSnapshotRecords(site.host, key, manifest);
  const backing = await borrowedBacking(site, disk);
  await graphOf(site).openTarget(mirror.node, { ...optionsOf(disk, mirror.path), backing });
  const told = { verb, disk: disk.disk, left: `The guest runs on; current: ${manifest.current}.` };
  await inWords(site, told, () => checkOpenedFile(graphGuestOf(site), mirror, mirror.is));
  await graphOf(site).startMirror(
    { job: jobNames.mirror(key), target: mirror.node, filter: nodeNames.filter(key) },
    {
      source: image.activeNode,
      sync: "top",
      copyMode: site.options.copyMode,
      maxBytesPerSecond: site.options.maxBytesPerSecond,
    },
  );
}

/** The node right below the overlay. */
export async function borrowedBacking(site: SnapshotSite, { disk, manifest, image }: RecordedDisk): Promise<string> {
  const [, below] = await graphOf(site).layerNodes(image.activeNode);
  if (below !== undefined) return below;
  const why = `${manifest.file.path} does not stand on anything in QEMU, although its header names ${manifest.file.backing.name}`;
  const advice = "Start the guest from it with its whole chain, then run `pulumi up` again.";
  throw refusal(site, "mirror", disk)(why, advice, runsOn(manifest.current));
}
