/** Where a mirrored snapshot takes place, and all that was seen of it. */

import type { DiskKey } from "../../core/disk/names.js";
import { BugError } from "../../core/errors.js";
import { type BlockGraph, type GraphGuest, type GuestView, hasGraph, type ImageView } from "../../hypervisor/hypervisor.js";
import type { SnapshotManifest, WrittenSnapshotManifest } from "../../journal/snapshot-manifest.js";
import type { CutSwitch } from "../../journal/two-sided.js";
import { type Complaint, complaint } from "../shared/complaint.js";
import type { Site } from "../shared/site.js";
import type { SeenPhase } from "./observation.js";
import type { SnapshotDisk } from "./snapshot-xml.js";

export interface SnapshotSite extends Site {
  disks: readonly SnapshotDisk[];
  reuseExternal: boolean;
}

/** One disk with all that was seen of it. */
export interface SeenDisk extends SeenPhase {
  key: DiskKey;
  qdev: string;
  image: ImageView;
  /** The active image: as QEMU names it made absolute, and the directory of that name, links followed. */
  active: { named: string; directory: string };
  /** What the arguments say of it. */
  wanted: SnapshotDisk;
  manifest?: SnapshotManifest;
  /** Of a pivot that has not ended. */
  cut?: CutSwitch<WrittenSnapshotManifest>;
}

/** One observation of all disks of a snapshot. */
export interface Seen {
  view: GuestView;
  disks: SeenDisk[];
}

/** The preflight has seen to it that its nodes are ours to change. */
export function graphGuestOf({ guest }: SnapshotSite): GraphGuest {
  if (!hasGraph(guest)) throw new BugError(`A mirrored snapshot of ${guest.name} was begun, whose nodes are not ours to change.`);
  return guest;
}

export function graphOf(site: SnapshotSite): BlockGraph {
  return graphGuestOf(site).graph;
}

/** A disk whose snapshot is written down. */
export interface RecordedDisk extends SeenDisk {
  manifest: SnapshotManifest;
}

export function recorded(disk: SeenDisk): RecordedDisk {
  const { manifest } = disk;
  if (!manifest) throw new BugError(`A step was chosen for ${disk.disk} that needs its manifest.`);
  return { ...disk, manifest };
}

/** A refusal in one phrase. `left` is what stays as it is; by default nothing was touched. */
export function refusal(site: SnapshotSite, verb: string, disk: string) {
  return (why: string, advice: string, more: Pick<Complaint, "left" | "tellsCurrent" | "cause"> = {}) =>
    complaint(site, { verb, disk, why, advice, ...more });
}

/** What is left as it was, of a guest that runs. */
export function runsOn(current: string): Pick<Complaint, "left" | "tellsCurrent"> {
  return { left: `The guest runs on; current: ${current}.`, tellsCurrent: true };
}
