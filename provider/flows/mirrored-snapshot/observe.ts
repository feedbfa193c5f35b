/** One look at the host: where each disk's mirrored snapshot stands. Changes nothing, remembers nothing. */

import { isFile, isUnchanged, sameFile } from "../../core/disk/chain.js";
import type { Job } from "../../core/disk/job.js";
import { diskKey, jobNames } from "../../core/disk/names.js";
import { directoryOf, within } from "../../core/disk/paths.js";
import { seeFiles } from "../../host/file-seen.js";
import { realPath } from "../../host/files.js";
import { findDisk } from "../../hypervisor/find-disk.js";
import type { GuestProcess, GuestView } from "../../hypervisor/hypervisor.js";
import { overlayContent } from "../../image/overlay.js";
import { readRecords } from "../../journal/records.js";
import { currentSide, type SnapshotManifest } from "../../journal/snapshot-manifest.js";
import { readSnapshotRecords, type SnapshotRecords } from "../../journal/snapshot-records.js";
import { phaseOfCut } from "../shared/cut-switch.js";
import { foreignTop, liveChain } from "../shared/live-chain.js";
import { phaseOfMirror as phaseOfJob } from "../shared/phase.js";
import { imageOf } from "../shared/places.js";
import { expectedChain } from "./chain-check.js";
import { type Evidence, type Files, type FoundDisk, filesOf, foundCut, imageInUse } from "./in-use.js";
import type { SnapshotPhase } from "./observation.js";
import type { Seen, SeenDisk, SnapshotSite } from "./site.js";

/** Looks at the guest and at the files of all disks of the snapshot. */
export async function observe(site: SnapshotSite): Promise<Seen> {
  const { view, process, found } = await find(site);
  const disks: SeenDisk[] = [];
  for (const disk of found) disks.push(await observeDisk({ site, view, process, disk }));
  return { view, disks };
}

/** The disks by what they are, and where QEMU says their active images are. */
export async function find(site: SnapshotSite): Promise<{ view: GuestView; process: GuestProcess | undefined; found: FoundDisk[] }> {
  const view = await site.guest.look();
  const process = await site.guest.process();
  const found: FoundDisk[] = [];
  for (const wanted of site.disks) {
    const { disk } = wanted;
    const device = await findDisk(site.guest, view, disk);
    const image = imageOf(site, disk, device);
    const named = within(process?.workingDirectory ?? "/", image.chain[0].path);
    const active = { named, directory: await realPath(site.host, directoryOf(named)) };
    found.push({ disk, key: diskKey(view.domainId, device.qdev), qdev: device.qdev, image, active, wanted });
  }
  return { view, process, found };
}

/** Where a manifest of the disk may lie. */
export function placesOf({ active, wanted }: Pick<FoundDisk, "active" | "wanted">): string[] {
  return [active.directory, directoryOf(wanted.file), directoryOf(wanted.mirror)];
}

async function observeDisk(evidence: Evidence): Promise<SeenDisk> {
  const { site, disk } = evidence;
  const records = await readSnapshotRecords(site.host, disk.key, placesOf(disk));
  if (!records) return { ...disk, seen: await withoutRecords(site, disk) };
  const { manifest } = records;
  const { wanted } = disk;
  if (manifest.file.path !== wanted.file || manifest.mirror.path !== wanted.mirror) {
    const why = `another mirrored snapshot of it lasts (${manifest.file.path}, mirrored to ${manifest.mirror.path}). Set that one's \`onDelete\` and delete it first`;
    return { ...disk, seen: { phase: "contradiction", why } };
  }
  return { ...disk, manifest, ...(records.cut && { cut: records.cut }), seen: await phaseOf(evidence, records) };
}

async function withoutRecords(site: SnapshotSite, disk: FoundDisk): Promise<SnapshotPhase> {
  const move = await readRecords(site.host, disk.key, placesOf(disk));
  if (move) {
    const why = `a move of it to ${move.manifest.destination.directory} has not ended. Let the resource that began it finish, or delete that`;
    return { phase: "contradiction", why };
  }
  const [active, file, mirror] = await seeFiles(site.host, [disk.active.named, disk.wanted.file, disk.wanted.mirror], "follow");
  if (active && file && sameFile(active, file)) return { phase: "ended", on: "file" };
  return active && mirror && sameFile(active, mirror) ? { phase: "ended", on: "mirror" } : { phase: "absent" };
}

async function phaseOf(evidence: Evidence, { manifest, sides, further, cut }: SnapshotRecords): Promise<SnapshotPhase> {
  const job = evidence.view.jobs.find(({ id }) => id === jobNames.mirror(evidence.disk.key));
  const files = await filesOf(evidence, manifest);
  const on = imageInUse(evidence, manifest, { job, files });
  if (cut) return phaseOfCut(foundCut(evidence, cut, { on, job, files }));
  switch (on) {
    case "mirror":
      return { phase: "pivoted" };
    case "former":
      return beforeSnapshot(evidence, manifest, sides);
    case "file":
      // set back before the ended job is looked at: the guest writes to `file`, and a boot must find that
      if (!job || job.status === "concluded") {
        if (currentSide(manifest) === "destination") return neverLetGo(manifest, files);
        if (further) return { phase: "not-let-go" };
      }
      if (job) return phaseOfMirror(job, manifest);
      return { phase: "lost", since: evidence.disk.image.activeNode === manifest.file.node ? "cut" : "restart" };
    case "another":
      return strayed(evidence, manifest);
  }
}

/** The guest is on the image from before. That is right only as long as `file` is empty: else it has writes that the guest does not see. */
async function beforeSnapshot(
  { site }: Evidence,
  { file, former }: SnapshotManifest,
  sides: SnapshotRecords["sides"],
): Promise<SnapshotPhase> {
  const [there] = await seeFiles(site.host, [file.path], "follow");
  if (there && file.is && isFile(there, file.is) && (await overlayContent(site.host, file.path)) === "holds-writes") {
    const why =
      `the guest runs on ${former.path}, but the snapshot's overlay ${file.path} holds writes that are not in it: it was started from the wrong file. ` +
      `Stop the guest and start it from ${file.path}, before it writes more`;
    return { phase: "contradiction", why };
  }
  return sides === "both" ? { phase: "prepared" } : { phase: "recorded" };
}

function phaseOfMirror(job: Job, manifest: SnapshotManifest): SnapshotPhase {
  const seen = phaseOfJob(job, currentSide(manifest));
  return seen.phase === "ended" ? { phase: "broken-off", job } : seen;
}

/**
 * No job that runs, the guest on `file`, `current` at the mirror: the guest was never let onto the mirror, if that is as it was in
 * `pending`, and `file` still has its name or the one that the pivot gave it.
 */
function neverLetGo(manifest: SnapshotManifest, { file, mirror, quarantined }: Files): SnapshotPhase {
  if ((file ?? quarantined) && mirror && manifest.switched && isUnchanged(mirror, manifest.switched)) return { phase: "not-let-go" };
  const found =
    (file ?? quarantined) ? `${manifest.mirror.path} was written to since` : `${manifest.file.path} does not have its name any more`;
  const why =
    `the guest runs on ${manifest.file.path}, but its pivot to ${manifest.mirror.path} is recorded, and ${found}. ` +
    "Both files may hold writes that the other lacks. Compare them, keep both, and take away the manifests of the side that is wrong";
  return { phase: "contradiction", why };
}

async function strayed({ site, process, disk: { active, image } }: Evidence, manifest: SnapshotManifest): Promise<SnapshotPhase> {
  const { file, mirror } = manifest;
  const lasts = `it runs on ${active.named}, but a mirrored snapshot (${file.path}, mirrored to ${mirror.path}) was begun and not ended`;
  const live = await liveChain(site.host, image, process);
  const chains = (["file", "former"] as const).map((on) => expectedChain(manifest, on));
  const foreign = await foreignTop(site.host, live, chains, manifest.current);
  if (foreign !== undefined) return { phase: "contradiction", why: `${lasts}: ${foreign}`, foreignTop: active.named };
  return { phase: "contradiction", why: `${lasts}. If somebody ended it by hand, take its two manifests away by hand too` };
}
