/** What we ask of a hypervisor about one guest. qemu/ answers over QMP, libvirt/ over virsh. */

import type { BackingChain } from "../core/disk/chain.js";
import type { Job } from "../core/disk/job.js";
import { UserError } from "../core/errors.js";
import type { CollapseOptions, MirrorOptions, TargetOptions } from "./block-steps.js";

/** The host itself says that nobody runs behind this address: the guest is stopped, or never was. */
export class GuestNotRunning extends UserError {}

/** The host itself says that there is no such domain, running or not. Only libvirt can say so. */
export class DomainMissing extends UserError {}

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
  /** The file on the host that is locked as long as the switch goes on. */
  switchLock: string;
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
   * The persistent definition of one disk with another source and all else as it is, for `virsh update-device --config`.
   * @throws UserError if libvirt does not tell it, or it has no such disk with a file
   */
  definitionAt(disk: string, source: ImageFile | CopyTarget): Promise<string>;

  /** Makes the persistent definition of one disk name another source; with `below`, also what that stands on, so that its header does not count. */
  redefine(disk: string, source: ImageFile | CopyTarget): Promise<void>;

  /**
   * Resumes the guest until libvirt says that it runs, or has stopped by itself since, and ends the record of its suspension.
   * @returns its state, in the hypervisor's words
   * @param deadline as `performance.now()` counts; after it nothing is begun
   * @throws UserError with libvirt's words, if it is suspended still
   */
  letGo(deadline: number): Promise<string>;

  /** What the domain with this UUID is called now. */
  nameOf(uuid: string): Promise<string | undefined>;
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

/** The process behind a monitor, as the host shows it. */
export interface GuestProcess {
  pid: number;
  /** Where relative file names of its start from. */
  workingDirectory: string;
  /** `dev:ino` (decimal, as `stat -c %d:%i`) of every regular file it has open. */
  openFiles: ReadonlySet<string>;
}

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

  /** Does `work` with the monitor kept ours meanwhile, however long it asks nothing: nobody else may come in between, as in the switch. */
  keepOpen<T>(work: () => Promise<T>): Promise<T>;

  /** Gives the monitor back to others: at once, or as soon as nobody uses it. The next question opens it again. */
  close(): void;

  /** Commands and arguments of the monitor that a move needs and this guest's QEMU does not have; empty when all are there. */
  missingFeatures(): Promise<readonly string[]>;

  /** The serial numbers of devices, in the order of their qdevs. One question a device: ask only when no name fits. */
  serials(qdevs: readonly string[]): Promise<readonly (string | undefined)[]>;

  /** QEMU's name of a device's type (`virtio-blk-pci`, `nvme-ns`); undefined where the hypervisor does not tell. @see QEMU QMP reference, qom-get */
  deviceType(qdev: string): Promise<string | undefined>;

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

  /** Opens the target with the chain its own header names (never `backing: null`: decisions/0002). */
  openTarget(node: string, options: TargetOptions): Promise<void>;

  /**
   * Opens an empty overlay without its backing: it gets that by {@link freeze}, in the same breath in which it takes the guest's writes.
   * Nothing is ever mirrored onto a node opened so (decisions/0002).
   */
  openOverlay(node: string, options: TargetOptions): Promise<void>;

  /** Opens a copied layer with its chain, read-only until a commit makes it the active image. */
  openLayer(node: string, options: TargetOptions): Promise<void>;

  /** Lets an open target stand on another node; a mirror onto it goes on. `options` are those that it was opened with. @see QEMU QMP reference, blockdev-reopen */
  reopenOn(node: string, options: TargetOptions & { backing: string }): Promise<void>;

  /** Node names of the layers from `top` down; names of files do not tell two nodes apart that have the same one open. */
  layerNodes(top: string): Promise<readonly string[]>;

  /** Puts an overlay on top of each node, all at one point in time, all or none. @see QEMU QMP reference, transaction, blockdev-snapshot */
  freeze(pairs: readonly { node: string; overlay: string }[]): Promise<void>;

  /** An active commit: ends in `ready`, and by `complete` in `pending`; then `base` is the active image. Always with a base (decisions/0004). */
  startCommit(jobId: string, filter: string, options: CollapseOptions & { base: string }): Promise<void>;

  /** Ends in `pending`; finalized, `top` stands on `base`, and the job is gone: it needs no dismissal, and leaves no error. @see QEMU QMP reference, block-stream */
  startPull(jobId: string, filter: string, options: CollapseOptions): Promise<void>;

  startMirror(jobId: string, target: string, filter: string, options: MirrorOptions): Promise<void>;

  /** @see QEMU QMP reference, job-complete: for a mirror in `ready`, the pivot; ends in `pending` (auto-finalize is off) */
  complete(jobId: string): Promise<void>;
  finalize(jobId: string): Promise<void>;
  cancel(jobId: string): Promise<void>;
  resume(jobId: string): Promise<void>;
  dismiss(jobId: string): Promise<void>;
  setSpeed(jobId: string, maxBytesPerSecond: number): Promise<void>;

  /** Job statuses only: the cheapest look, for the switch. */
  jobs(): Promise<readonly Job[]>;

  /**
   * Closes nodes, in the order given (an overlay before what it backs).
   * Nodes that are not there are no error; those that QEMU keeps are returned with its words.
   */
  closeNodes(names: readonly string[]): Promise<readonly { node: string; why: string }[]>;

  /** Resolves when the guest's monitor said something (a wake-up, never a decision) or the time is over. */
  wakeUp(timeoutSeconds: number): Promise<void>;

  /** The monitor's socket by which the switch's guard can finish alone. */
  readonly guardSocket: string;

  /** The same guest for a report, on which no step rests: what it says may be some seconds old, and cost less. */
  readonly forReport?: Guest;

  /** There where libvirt manages the guest; then the steps of a monitor are not to be asked for. */
  readonly managed?: ManagedGuest;
}
