/** What we ask of a hypervisor about one guest. qemu/ answers over QMP, libvirt/ over virsh. */

import type { LayerFile } from "../core/disk/chain-options.js";
import type { Job } from "../core/disk/job.js";
import { UserError } from "../core/errors.js";
import type { PlannedSwitch, SwitchResult } from "../host/worker/switching.js";
import type { CollapseOptions, MirrorOptions, TargetOptions } from "./block-steps.js";
import type { Blocker, ChainsView, GuestProcess, GuestRequests, GuestView } from "./guest-view.js";
import type { ManagedGuest } from "./managed-guest.js";

export * from "./guest-view.js";
export type * from "./managed-guest.js";

/** The host itself says that nobody runs behind this address: the guest is stopped, or never was. */
export class GuestNotRunning extends UserError {}

/** The host itself says that there is no such domain, running or not. Only libvirt can say so. */
export class DomainMissing extends UserError {}

/** One guest. Every method is one step that may be the last before the power goes; none remembers anything. */
export interface Guest {
  /** For messages: the socket or the libvirt name. */
  readonly name: string;

  /**
   * Those who ask together get one answer; it is never older than the question.
   * @throws GuestNotRunning if there is no such guest (no socket, nobody listens)
   * @throws UserError if we may not open its monitor, or if that is none
   * @throws UnreachableError if the monitor is busy with another client, or does not answer
   */
  look(): Promise<GuestView>;

  /** As {@link look}, without the jobs: four questions to a guest, three once its UUID is known. */
  lookAtChains(): Promise<ChainsView>;

  /**
   * Waits until it can be asked: a monitor serves one client. Without a wait where several are served.
   * @throws UnreachableError if another client is not done in so many seconds, or `stop` fires
   */
  awaitTurn(seconds: number, stop: AbortSignal): Promise<void>;

  /** From jobs that are ready to the end, by the host alone: this client and its network have no part in it. */
  switch(plan: PlannedSwitch): Promise<SwitchResult>;

  /** What is left of a switch that was cut, finished or reverted by its commit point: as {@link switch}, by the host alone. */
  recover(plan: PlannedSwitch): Promise<SwitchResult>;

  /** Gives the monitor back to others: at once, or as soon as nobody uses it. The next question opens it again. */
  close(): void;

  /** Commands and arguments of the monitor that a move needs and this guest's QEMU does not have; empty when all are there. */
  missingFeatures(): Promise<readonly string[]>;

  /** The serial numbers of devices, in the order of their qdevs. One question a device: ask only when no name fits. */
  serials(qdevs: readonly string[]): Promise<readonly (string | undefined)[]>;

  /** Where a request waits that the guest begins in the switch. */
  requestsOf(qdev: string): Promise<GuestRequests>;

  /** Asked right before each job of ours and each switch: one round trip, however many disks. Empty when nothing is in the way. */
  blockers(qdevs: readonly string[]): Promise<readonly Blocker[]>;

  /** The guest's process, or undefined where the host does not let us see it (another user's). */
  process(): Promise<GuestProcess | undefined>;

  /** Opens `path` for writing and closes it again: whether the guest's process may use that place. @throws UserError with QEMU's words */
  probe(node: string, path: string, cache: { direct: boolean; noFlush: boolean }): Promise<void>;

  /**
   * Opens an image read-only and keeps it open, so that nobody can write to a qcow2. A raw image without a user of its own takes no lock
   * (raw_child_perm() in block/raw-format.c passes none on; seen on 7.2): only its identity tells whether somebody wrote.
   */
  hold(node: string, path: string, format: string): Promise<void>;

  /** Opens the target with its chain (never `backing: null`: decisions/0002). */
  openTarget(node: string, options: TargetOptions): Promise<void>;

  /**
   * Opens an empty overlay without its backing: it gets that by {@link freeze}, in the same breath in which it takes the guest's writes.
   * Nothing is ever mirrored onto a node opened so (decisions/0002).
   */
  openOverlay(node: string, options: TargetOptions): Promise<void>;

  /** Opens a copied layer with its chain, read-only until a commit makes it the active image. */
  openLayer(node: string, options: TargetOptions): Promise<void>;

  /** The files of a node and of all below it, top first, as they are open; filters are none. */
  openedChain(node: string): Promise<readonly LayerFile[]>;

  /** Lets an open target stand on another node; a mirror onto it goes on. `options` are those that it was opened with. @see QEMU QMP reference, blockdev-reopen */
  reopenOn(node: string, options: TargetOptions & { backing: string }): Promise<void>;

  /** Node names of the layers from `top` down; names of files do not tell two nodes apart that have the same one open. */
  layerNodes(top: string): Promise<readonly string[]>;

  /** Puts an overlay on top of each node, all at one point in time, all or none. @see QEMU QMP reference, transaction, blockdev-snapshot */
  freeze(pairs: readonly { node: string; overlay: string }[]): Promise<void>;

  /** An active commit: ends in `ready`, and by job-complete in `pending`; then `base` is the active image. Always with a base (decisions/0004). */
  startCommit(jobId: string, filter: string, options: CollapseOptions & { base: string }): Promise<void>;

  /** Ends in `pending`; finalized, `top` stands on `base`, and the job is gone: it needs no dismissal, and leaves no error. @see QEMU QMP reference, block-stream */
  startPull(jobId: string, filter: string, options: CollapseOptions): Promise<void>;

  startMirror(jobId: string, target: string, filter: string, options: MirrorOptions): Promise<void>;

  finalize(jobId: string): Promise<void>;
  cancel(jobId: string): Promise<void>;
  resume(jobId: string): Promise<void>;
  dismiss(jobId: string): Promise<void>;
  setSpeed(jobId: string, maxBytesPerSecond: number): Promise<void>;

  /** Job statuses only: the cheapest look. */
  jobs(): Promise<readonly Job[]>;

  /**
   * Closes nodes, in the order given (an overlay before what it backs).
   * Nodes that are not there are no error; those that QEMU keeps are returned with its words.
   */
  closeNodes(names: readonly string[]): Promise<readonly { node: string; why: string }[]>;

  /** Resolves when the guest's monitor said something (a wake-up, never a decision) or the time is over. */
  wakeUp(timeoutSeconds: number): Promise<void>;

  /** The same guest for a report, on which no step rests: what it says may be some seconds old, and cost less. */
  readonly forReport?: Guest;

  /** There where libvirt manages the guest; then the steps of a monitor are not to be asked for. */
  readonly managed?: ManagedGuest;
}
