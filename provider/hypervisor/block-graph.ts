/** Steps on single nodes of a guest's block graph. */

import type { LayerFile } from "../core/disk/chain-options.js";
import type { MirrorOptions, Openness } from "./block-steps.js";

/** What a node is opened with. */
export interface TargetOptions extends Openness, LayerFile {
  /** The node below it. Default: `below`. */
  backing?: string;
  /** What it stands on, top first, each opened by this name and format. Default: the chain that the headers name, from its own down. */
  below?: readonly LayerFile[];
}

/** A job that shortens a chain, by its nodes. */
export interface CollapseOptions {
  /** The node whose content goes down (commit), or that takes up what lies below it (pull). */
  top: string;
  /** Commit: the node that takes the content. Pull: the node that stays below; absent: nothing stays below. */
  base?: string;
  /** Pull: how `top`'s header names `base` afterwards. */
  backingName?: string;
  /** Bytes per second; `0` is no limit. */
  maxBytesPerSecond: number;
}

export interface CommitNodes extends CollapseOptions {
  /** The node right under the device; a filter above `top`, or `top` itself. */
  root: string;
  base: string;
}

/**
 * Steps on single nodes of a block graph. There only where the graph is ours to change: libvirt keeps the nodes of its guests to itself.
 */
export interface BlockGraph {
  /** Opens an image with its chain below it. Nothing is ever mirrored onto an image that was opened without (decisions/0002). */
  openTarget(node: string, options: TargetOptions): Promise<void>;

  /** Opens an empty overlay without its backing: it gets that by {@link snapshot}, in the same breath in which it takes the guest's writes. */
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
  snapshot(pairs: readonly { node: string; overlay: string }[]): Promise<void>;

  startMirror(names: { job: string; target: string; filter: string }, options: MirrorOptions): Promise<void>;

  /** An active commit: ends in `ready`, and by job-complete in `pending`; then `base` is the active image. */
  startCommit(jobId: string, filter: string, options: CommitNodes): Promise<void>;

  /** Ends in `pending`; finalized, `top` stands on `base`, and the job is gone: it needs no dismissal, and leaves no error. @see QEMU QMP reference, block-stream */
  startPull(jobId: string, filter: string, options: CollapseOptions): Promise<void>;
}
