/** Which of a snapshot's images takes the guest's writes, by QEMU's nodes and by the files. */

import { isFile, sameFile } from "../../core/disk/chain.js";
import type { Job } from "../../core/disk/job.js";
import { type FileSeen, seeFiles } from "../../host/file-seen.js";
import type { GuestProcess, GuestView } from "../../hypervisor/hypervisor.js";
import type { SnapshotManifest, WrittenSnapshotManifest } from "../../journal/snapshot-manifest.js";
import type { CutSwitch } from "../../journal/two-sided.js";
import type { FoundCut } from "../shared/cut-switch.js";
import type { SeenDisk, SnapshotSite } from "./site.js";

export type FoundDisk = Omit<SeenDisk, "seen" | "manifest">;

/** `another`: none of them. */
type InUse = "former" | "file" | "mirror" | "another";

export interface Evidence {
  site: SnapshotSite;
  view: GuestView;
  process: GuestProcess | undefined;
  disk: FoundDisk;
}

interface FoundNow {
  on: InUse;
  job: Job | undefined;
  files: Files;
}

export function foundCut(
  { view, disk }: Evidence,
  { written, decided }: CutSwitch<WrittenSnapshotManifest>,
  { on, job, files }: FoundNow,
): FoundCut {
  const { file, mirror, pending } = written;
  const isSame = view.nodes.some(({ name }) => name === mirror.node);
  return {
    running: on === "file" ? "before" : on === "mirror" ? "after" : undefined,
    ...{ named: disk.active.named, decided, qemu: isSame ? "same" : "another" },
    job: job?.status === "concluded" ? undefined : job,
    before: { path: file.path, found: files.file ?? files.quarantined, recorded: pending.before },
    after: { path: mirror.path, found: files.mirror, recorded: pending.after },
  };
}

export interface Files {
  /** What QEMU's name of the active image leads to now. */
  active: FileSeen | undefined;
  /** The three of the snapshot under their names, if they are those that were written down. */
  former: FileSeen | undefined;
  file: FileSeen | undefined;
  mirror: FileSeen | undefined;
  /** `file` under the name that a pivot gives it. */
  quarantined: FileSeen | undefined;
}

export async function filesOf({ site, disk }: Evidence, { former, file, mirror, quarantine }: SnapshotManifest): Promise<Files> {
  const paths = [disk.active.named, former.path, file.path, mirror.path, quarantine];
  const [active, ...found] = await seeFiles(site.host, paths, "follow");
  const known = [former, file.is, mirror.is, file.is].map((is, index) => {
    const there = found[index];
    return there && is && isFile(there, is) ? there : undefined;
  });
  return { active, former: known[0], file: known[1], mirror: known[2], quarantined: known[3] };
}

/**
 * Which image the guest writes to. A job of ours mirrors *from* `file` until it has concluded, and QEMU lets nobody put an overlay on
 * that meanwhile; after that the nodes, or in a QEMU that has none of ours the file, decide.
 */
export function imageInUse({ view, process, disk }: Evidence, manifest: SnapshotManifest, { job, files }: Omit<FoundNow, "on">): InUse {
  if (job && job.status !== "concluded") return "file";
  if (disk.image.activeNode === manifest.mirror.node) return "mirror";
  // both nodes are of the same QEMU: any other on top is somebody else's
  if (view.nodes.some(({ name }) => name === manifest.mirror.node))
    return disk.image.activeNode === manifest.file.node ? "file" : "another";
  const is = (file: FileSeen | undefined) => file !== undefined && files.active !== undefined && sameFile(files.active, file);
  if (is(files.mirror)) return "mirror";
  if (is(files.file)) return "file";
  if (is(files.former)) return "former";
  // its name was taken away: what the process has open tells
  const isOpen = (file: FileSeen | undefined) => file !== undefined && process?.openFiles.has(`${file.dev}:${file.ino}`) === true;
  const isAway = is(files.quarantined) || (files.active === undefined && isOpen(files.quarantined));
  return isAway ? "file" : "another";
}
