/** What a switch is made of: one turn for each disk, and one for their link. */

import type { DiskKey } from "../../core/disk/names.js";

/** One disk's part in a switch: whatever job it is that ends, a mirror's pivot or a commit's. */
export interface Turn {
  disk: string;
  key: DiskKey;
  /** As QEMU's block query names the device. */
  qdev: string;
  /** The job that is ready. */
  jobId: string;
  /** The node that is active when the job has pivoted: the first one below filters. */
  node: string;
  /**
   * The manifests of the disk: what each says now, and what it shall say. The latter ends open, right before `"sizeBytes"` of the
   * identity in its last property: the switch fills in what `target` is in `pending`.
   */
  records: readonly [RecordTurn, RecordTurn];
  /** Where the disk is before and after, for messages and for the identity. */
  source: string;
  target: string;
  /** The image that a boot by its old name would find stale, and the name that it gets. */
  stale?: Stale;
}

export interface Stale {
  active: string;
  quarantine: string;
  /**
   * A raw image that job-finalize leaves without a writer is opened again by its old name, read-only, unless its node forbids that
   * (raw_reconfigure_getfd() in block/file-posix.c, `auto-read-only`, which -drive turns on; QEMU 7.2), and without a file of that name
   * the pivot fails. So an empty file takes its place until the move is tidied: a boot finds no disk in it, rather than a stale one.
   */
  standIn: "needed" | "none";
}

export interface RecordTurn {
  path: string;
  now: string;
  next: string;
}

/** A link to a directory that is re-pointed with the switch. */
export interface LinkTurn {
  path: string;
  /** Beside the link: it as it shall be, and as it was. */
  next: { path: string; leadsTo: string };
  back: { path: string; leadsTo: string };
}

/** Of both manifests of a disk, which say the same. @param after as it shall be said, but for the size and time in the last property */
export function recordTurns([one, other]: readonly [string, string], { now, after }: { now: string; after: string }): Turn["records"] {
  const record = (path: string): RecordTurn => ({ path, now, next: openEnded(after) });
  return [record(one), record(other)];
}

/** A manifest up to the size and time in its last property. */
export function openEnded(text: string): string {
  return text.slice(0, text.lastIndexOf('"sizeBytes"'));
}
