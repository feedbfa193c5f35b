/** How images are opened and jobs are started: what a step on a block graph is given. */

import type { LayerFile } from "../core/disk/chain-options.js";

/** What a target is opened with. */
export interface TargetOptions {
  path: string;
  format: string;
  /** The node below it. Default: `below`. */
  backing?: string;
  /** What it stands on, top first, each opened by this name and format. Default: the chain that the headers name, from its own down. */
  below?: readonly LayerFile[];
  cache: { direct: boolean; noFlush: boolean };
  detectZeroes: "off" | "on" | "unmap";
}

/**
 * What a mirror may have in flight, in bytes: a guest's write waits behind it. Measured: with 4 MiB a guest's p99 in a mirror was 15 ms,
 * with QEMU's own 10 MiB 18 ms, and the mirror took no longer. Under a limit QEMU spends what it may in bursts of that size: with 1 MiB
 * the p99 was that of an idle guest, with 10 MiB 4 times that.
 */
export function mirrorBufferBytes(maxBytesPerSecond: number): number {
  return maxBytesPerSecond > 0 ? 2 ** 20 : 4 * 2 ** 20;
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

/** A job that shortens a chain. */
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
