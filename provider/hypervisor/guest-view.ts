/** What one look shows of a guest, whichever hypervisor answers. */

import type { BackingChain } from "../core/disk/chain.js";
import type { Job } from "../core/disk/job.js";

/** The status of a domain that is defined and does not run: its disks are read from the definition and the files. */
export const shutOff = "shut off";

/** What a guest runs on, without its jobs: enough to report drift, and one question less. */
export type ChainsView = Omit<GuestView, "jobs">;

/** One look at a guest: taken in one go, already old when it is read. */
export interface GuestView {
  /** The guest's UUID; for a guest without one, a hash of the host's machine id and the socket's real path. */
  domainId: string;
  /** QEMU's RunState (`running`, `paused`, `prelaunch`, `io-error`, …), or {@link shutOff} of a domain of libvirt's. */
  status: string;
  disks: readonly DiskView[];
  jobs: readonly Job[];
  /** Every named block node, filters and protocol nodes too. */
  nodes: readonly NodeView[];
  /** There where a switch of ours has recorded that it suspends the guest, and nobody has recorded its end. Only libvirt's guests are suspended. */
  suspension?: Suspension;
}

/** What a switch records before it suspends a guest; it lasts until libvirt says that the guest runs again, or until its QEMU ends. */
export interface Suspension {
  /** The file on the host that the switch of its domain has locked. */
  switchLock: string;
}

/** What a look shows of it: a switch may be under way, too. Only what acts can find out. */
export function suspendedNow({ suspension, status }: GuestView): Suspension | undefined {
  return status === "paused" ? suspension : undefined;
}

/** A block device of the guest. */
export interface DiskView {
  /** QEMU's own name of the device: stable for a given command line. */
  qdev: string;
  /** Every name under which a user may ask for this disk: device id, drive id, QOM path (the serial is asked for only when no other name fits). */
  names: readonly string[];
  /** What is in the drive. `unsupported` is an image that is not a chain of local files; `why` says what it is. */
  medium: { kind: "none" } | { kind: "unsupported"; why: string } | ({ kind: "image" } & ImageView);
}

/** The live chain of a disk and what matters of how it is open. */
export interface ImageView {
  readOnly: boolean;
  /** The node right under the device; a throttle or copy-on-read filter, or the active image itself. */
  rootNode: string;
  /** The first format node below filters: the one that is mirrored, and that decides where the guest is. */
  activeNode: string;
  chain: BackingChain;
  cache: { direct: boolean; noFlush: boolean };
  detectZeroes: "off" | "on" | "unmap";
  /** What a new image must be made with to be like the active one; from its header. */
  creation: { format: string; options: Readonly<Record<string, string>> };
  /** Names of dirty bitmaps, persistent or not, that are not ours. */
  dirtyBitmaps: readonly string[];
  /** Those of them that live in the image itself, not in QEMU's memory alone. */
  persistentBitmaps: readonly string[];
  internalSnapshots: readonly string[];
  /** Where the next start finds the disk, by the domain's persistent definition; absent where nothing says so. */
  definedAt?: string;
  /** Why a header of the chain could not be read, where the layers are known all the same: then sizes, bitmaps and snapshots are not. */
  unread?: string;
}

export interface NodeView {
  name: string;
  driver: string;
  /** The file this node stands for, as QEMU names it; a `json:` text where it has no plain name. */
  file: string;
}

/** Why no job may be begun and no switch be made now, by what the hypervisor says of the guest itself. */
export interface Blocker {
  /** `guest`: it is migrating, or does not run here. `sharing`: other guests may have the same image. */
  concerns: "guest" | "sharing";
  /** The disk that it concerns; absent where it concerns all of them. */
  qdev?: string;
  why: string;
  /** What the user can do about it, as a sentence. */
  advice: string;
}

/** What of a disk, or of its guest, a move would break or leave behind. Plain QEMU has none of it. */
export interface Burdens {
  /** Names of the guest's snapshots; their definitions hold the disks' paths. */
  snapshots: readonly string[];
  checkpoints: readonly string[];
  /** Jobs on this disk that no look tells of, in words. */
  jobs: readonly string[];
  /** Why the hypervisor would refuse, or the move be unsafe: the disk is shared, or transient. */
  forbids: readonly string[];
}

/**
 * Where a request waits that the guest begins while a disk is drained: in its own queue, which QEMU does not look at meanwhile, or in QEMU's
 * block layer.
 */
export type GuestRequests = { wait: "in-guest" } | { wait: "in-qemu"; device: string };

/** The process behind a monitor, as the host shows it. */
export interface GuestProcess {
  pid: number;
  /** Where relative file names of its start from. */
  workingDirectory: string;
  /** `dev:ino` (decimal, as `stat -c %d:%i`) of every regular file it has open. */
  openFiles: ReadonlySet<string>;
  /** The paths by which the kernel knows them. */
  openPaths: readonly string[];
}
