/** The steps that put images on a guest's disks and move data between them: what each hypervisor does in its own way. */

import type { FileIdentity } from "../core/disk/chain.js";
import type { ChainFiles } from "../core/disk/chain-options.js";
import type { DiskKey } from "../core/disk/names.js";

/** A disk of the guest, and the key by which our jobs and nodes on it are called. */
export interface GuestDisk {
  key: DiskKey;
  qdev: string;
}

/** How an image is opened: as the active one is. */
export interface Openness {
  cache: { direct: boolean; noFlush: boolean };
  detectZeroes: "off" | "on" | "unmap";
}

/** A file that we made, as it was then: over QMP that one must be open, whatever its name leads to by then. */
export type Made = Pick<FileIdentity, "dev" | "ino">;

/** A disk on which an overlay is put. */
export interface FreezingDisk extends Openness {
  qdev: string;
  activeNode: string;
  /** Is there already, qcow2, and empty. */
  overlay: { node: string; path: string; made?: Made };
}

/** Where a mirror goes. */
export interface MirrorTarget extends Openness {
  node: string;
  /** The target itself, and all that it stands on, top first. It is there already: `Traits.mirrorsOnto` says how. */
  chain: ChainFiles;
  made?: Made;
  /** The node that the layer right below the target becomes, for a later commit into it. */
  nodeBelow?: string;
}

export interface MirrorOptions {
  /** The node to mirror: `ImageView.activeNode`. */
  source: string;
  /** `top`: what the active layer holds. `full`: all of it, for an image without backing. */
  sync: "top" | "full";
  copyMode: "background" | "write-blocking";
  /** Bytes per second; `0` is no limit. */
  maxBytesPerSecond: number;
}

/**
 * What a mirror may have in flight, in bytes: a guest's write waits behind it. Measured: with 4 MiB a guest's p99 in a mirror was 15 ms,
 * with QEMU's own 10 MiB 18 ms, and the mirror took no longer. Under a limit QEMU spends what it may in bursts of that size: with 1 MiB
 * the p99 was that of an idle guest, with 10 MiB 4 times that.
 */
export function mirrorBufferBytes(maxBytesPerSecond: number): number {
  return maxBytesPerSecond > 0 ? 2 ** 20 : 4 * 2 ** 20;
}

/** A layer of the live chain, by how deep it lies below the active image, and by its path there: both as they were seen. */
export interface LayerAt {
  depth: number;
  path: string;
}

/** An active commit. */
export interface CommitOptions {
  /** The active image. */
  top: { node: string; path: string };
  /** Always named: without one a commit goes down to the very bottom (decisions/0004). */
  base: LayerAt;
  /** Bytes per second; `0` is no limit. */
  maxBytesPerSecond: number;
}

export interface PullOptions {
  /** The active image, which takes up what lies below it. */
  top: { node: string; path: string };
  /** What stays below; absent: nothing does. */
  base?: LayerAt;
  /** How the header of `top` is to name `base` afterwards. Default: as the hypervisor likes. libvirt keeps a relative name, or writes the full one. */
  backingName?: string;
  /** Bytes per second; `0` is no limit. */
  maxBytesPerSecond: number;
}

/** One guest's. Every method is one step that may be the last before the power goes. */
export interface BlockSteps {
  /** Opens `path` for writing and closes it again: whether the guest's process may use that place. @throws UserError with the hypervisor's words */
  probe(node: string, path: string, cache: Openness["cache"]): Promise<void>;

  /**
   * Opens an image read-only and keeps it open, so that nobody can write to a qcow2. A raw image without a user of its own takes no lock
   * (raw_child_perm() in block/raw-format.c passes none on; seen on 7.2): only its identity tells whether somebody wrote.
   */
  hold(node: string, path: string, format: string): Promise<void>;

  /** Puts an overlay on top of each disk, all at one point in time, all or none; other disks stay as they are. */
  freeze(disks: readonly FreezingDisk[]): Promise<void>;

  /**
   * Copies the active layer onto the target, with its whole chain below it (never `backing: null`: decisions/0002), and goes on mirroring.
   * Over QMP what was opened is compared with the chain and with `made` before the job begins. libvirt opens and mirrors in one: there the next
   * look at the chain tells.
   */
  mirror(disk: GuestDisk, target: MirrorTarget, options: MirrorOptions): Promise<void>;

  /** Ends in `ready`, and by a switch in `base` as the active image. */
  commit(disk: GuestDisk, options: CommitOptions): Promise<void>;

  /** The job leaves no error. @returns how the header of `top` names `base` afterwards: `as-asked` is also relative where that was asked for */
  pull(disk: GuestDisk, options: PullOptions): Promise<"as-asked" | "absolute">;

  /** Of a job that waits at its end. The hypervisor's own jobs may wait for nobody: then there is none. */
  finalize(jobId: string): Promise<void>;
  cancel(jobId: string): Promise<void>;
  /** Of a job that an I/O error has stopped. */
  resume(jobId: string): Promise<void>;
  /** Of a job that has ended and stays to be looked at. */
  dismiss(jobId: string): Promise<void>;
  setSpeed(jobId: string, maxBytesPerSecond: number): Promise<void>;

  /**
   * Closes nodes, in the order given (an overlay before what it backs).
   * Nodes that are not there are no error; those that are kept are returned with the hypervisor's words.
   */
  closeNodes(names: readonly string[]): Promise<readonly { node: string; why: string }[]>;
}
