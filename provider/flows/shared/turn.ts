/** What a switch is made of: one turn for each disk, and one for their link. */

import { type FileIdentity, type WhichFile, whichOf } from "../../core/disk/chain.js";
import type { DiskKey } from "../../core/disk/names.js";
import { BugError } from "../../core/errors.js";

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
  /** The manifests of the disk: what each says now, and what it shall say until the switch has ended. */
  records: readonly RecordTurn[];
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
  next: OpenText;
}

/** A manifest up to the size and time of `source` in `pending`; what follows these; and what follows those of `target`. */
export type OpenText = readonly [head: string, afterSource: string, afterTarget: string];

/** A link to a directory that is re-pointed with the switch. */
export interface LinkTurn {
  path: string;
  /** Beside the link: it as it shall be, and as it was. */
  next: { path: string; leadsTo: string };
  back: { path: string; leadsTo: string };
}

/** What decides a switch: the link's one rename, or that of the switch record. */
export type DecidingTurn = ({ decidedBy: "link" } & LinkTurn) | { decidedBy: "switch-record"; path: string };

/** Of both manifests of a disk, which say the same. @param after as it shall be said, but for the sizes and times in {@link notYetMeasured} */
export function recordTurns([one, other]: readonly [string, string], { now, after }: { now: string; after: string }): Turn["records"] {
  const record = (path: string): RecordTurn => ({ path, now, next: openText(after) });
  return [record(one), record(other)];
}

/** For `pending` in the text of a manifest: sizes and times are known only in the switch. */
export function notYetMeasured(file: WhichFile): FileIdentity {
  return { ...whichOf(file), sizeBytes: 0, modified: "" };
}

/** A manifest without the sizes and times of {@link notYetMeasured}. */
export function openText(text: string): OpenText {
  const [head, afterSource, afterTarget, ...more] = text.split(/"sizeBytes": 0,\s*"modified": ""/);
  if (head === undefined || afterSource === undefined || afterTarget === undefined || more.length > 0)
    throw new BugError("A manifest of a switch has not the two places for sizes and times.");
  return [head, afterSource, afterTarget];
}
