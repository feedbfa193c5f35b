/** The steps of a guest that libvirt manages, and what they are given. */

import type { LibvirtSilence, LibvirtSwitchPlan, LibvirtSwitchResult } from "../host/worker/libvirt-switching.js";
import type { MirrorOptions } from "./block-steps.js";
import type { GuestView } from "./guest-view.js";

/** An image as a definition names it. */
export interface ImageFile {
  path: string;
  format: string;
}

/** The target of a copy that libvirt makes, with the whole chain below it. */
export interface CopyTarget extends ImageFile {
  below: readonly ImageFile[];
}

/** What of a disk, or of its domain, a move would break or leave behind. */
export interface Burdens {
  /** Names of the domain's snapshots; their definitions hold the disks' paths. */
  snapshots: readonly string[];
  checkpoints: readonly string[];
  /** Jobs on this disk, in words. */
  jobs: readonly string[];
  /** Why libvirt would refuse, or the move be unsafe: the disk is shared, or transient. */
  forbids: readonly string[];
}

/** Without what is libvirt's own. */
export type PlannedLibvirtSwitch = Omit<LibvirtSwitchPlan, "uri" | "switchLock">;

/** The steps of a guest that libvirt manages. libvirt holds the monitor, and loses track of block graphs that others change. */
export interface ManagedGuest {
  readonly uri: string;

  /** @throws UserError if libvirt does not tell one of them, in words: nothing is concluded from a refusal */
  burdens(disk: string): Promise<Burdens>;

  /** Files that belong to the domain and stay where they are. */
  staying(): Promise<readonly string[]>;

  /**
   * Copies the active layer onto an empty file that is there already, with all below it already copied, and goes on mirroring.
   * @throws UserError with libvirt's words
   */
  startCopy(disk: string, target: CopyTarget, options: Pick<MirrorOptions, "copyMode" | "maxBytesPerSecond">): Promise<void>;

  /** Puts an overlay that is there already on top of each disk, all at one point in time, all or none; other disks stay as they are. */
  freeze(overlays: readonly { disk: string; path: string }[]): Promise<void>;

  /** An active commit of `top` down into `base`, both by path: ends in `ready`, and by its pivot. Always with both (decisions/0004). */
  startCommit(disk: string, layers: { top: string; base: string }, maxBytesPerSecond: number): Promise<void>;

  /**
   * What lies between the active image and `base` (a path) goes up into it; absent: all that is below it. The job ends by itself, and leaves no error.
   * @returns how the active image's header names what it stands on afterwards: libvirt keeps a name relative only where it has read it as one
   */
  startPull(disk: string, base: string | undefined, maxBytesPerSecond: number): Promise<"relative" | "absolute">;

  /** A look that tells of a pull on this disk, too: no XML does. The chain is never older than the answer that there is none. */
  lookForPull(disk: string): Promise<GuestView>;

  /**
   * From jobs that are ready to the end, by the host alone: this client and its network have no part in it.
   * @param lock of the worker's, that of the domain; its file is recorded while the guest is suspended
   * @param silent is told how long libvirt has not answered
   * @throws WorkerError if nothing was begun
   */
  switch(
    plan: PlannedLibvirtSwitch,
    lock: { path: string; number: number },
    silent: (silence: LibvirtSilence) => void,
  ): Promise<LibvirtSwitchResult>;

  /**
   * Makes the persistent definition of one disk name another source, and keeps all else of it; with `below`, also what that stands on, so that its
   * header does not count.
   * @throws UserError if it has no such disk with a file, or gives that file to another disk
   */
  redefine(disk: string, source: ImageFile | CopyTarget): Promise<void>;

  /**
   * Resumes the guest until libvirt says that it runs, or has stopped by itself since, and ends the record of its suspension.
   * @returns its state, in the hypervisor's words
   * @param deadline as the world's clock counts; after it nothing is begun
   * @throws UserError with libvirt's words, if it is suspended still
   */
  letGo(deadline: number): Promise<string>;

  /** What the domain with this UUID is called now. */
  nameOf(uuid: string): Promise<string | undefined>;
}
