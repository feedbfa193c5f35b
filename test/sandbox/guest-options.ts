/** What a test guest may be asked to be. */

import type { Style } from "./command-line.js";
import type { DiskOptions } from "./disks.js";

export interface GuestOptions {
  /** Holds sockets, logs, kernel and, unless a disk says otherwise, `path1` with its images and an empty `path2`. */
  folder: string;
  /** Default: one disk of two layers in `<folder>/path1`. */
  disks?: readonly DiskOptions[];
  /** @default "blockdev" */
  style?: Style;
  uuid?: string;
  /** The id of a CD drive with nothing in it. */
  emptyDrive?: string;
  /** More of the command line, for what has no name here. */
  extraArguments?: readonly string[];
  /** Default: the QEMU that was chosen for this run (qemu.ts). Another one must see `folder` under the same path. */
  command?: readonly string[];
  /** What the guest rests between two records. @default 40 */
  pauseMs?: number;
}
