/** The words in which outputs say where a mirrored snapshot stands: those of a move, as far as it has them. Pure. */

import type { DiskStatus } from "../shared/status.js";
import type { SnapshotPhase, SnapshotState } from "./observation.js";

/**
 * Where a disk of a mirrored snapshot stands.
 *
 * - `settled`: the snapshot is there, and every write goes to `file` and to `mirror`.
 * - `elsewhere`: the snapshot is not there, and nothing of it was begun.
 * - `moving`: it was begun, and not every write is in `mirror` yet.
 * - `switching`: a pivot is under way or was cut, and the guest may wait for it; the next `up` ends it first.
 * - `cleaning-up`: the guest runs on `mirror`; what is left is to tidy.
 * - `needs-attention`: the mirror is lost or waits on a full storage, or something is in the way; the next `up` mirrors again, or says what to do.
 */
export type SnapshotStatus = Exclude<DiskStatus, "undoing">;

const ofPhases: Readonly<Record<SnapshotState, SnapshotStatus>> = {
  absent: "elsewhere",
  recorded: "moving",
  prepared: "moving",
  lost: "needs-attention",
  mirroring: "moving",
  stalled: "needs-attention",
  ready: "settled",
  turning: "moving",
  pending: "switching",
  "switch-cut": "switching",
  "broken-off": "needs-attention",
  "not-let-go": "switching",
  pivoted: "cleaning-up",
  ended: "needs-attention",
  contradiction: "needs-attention",
};

/** A mirror that this very QEMU has not got yet is on its way: only one that ended with its QEMU is lost. */
export function statusOf(seen: SnapshotPhase): SnapshotStatus {
  return seen.phase === "lost" && seen.since === "cut" ? "moving" : ofPhases[seen.phase];
}

/**
 * What a state says of a disk. That of 0.1.0 has a `state` and no status; a word that only a newer version knows needs a look.
 */
export function statusIn({ status, state }: { status?: unknown; state?: unknown }): SnapshotStatus {
  if (status !== undefined) return isStatus(status) ? status : "needs-attention";
  return isState(state) ? ofPhases[state] : "needs-attention";
}

function isStatus(value: unknown): value is SnapshotStatus {
  return Object.values<unknown>(ofPhases).includes(value);
}

function isState(value: unknown): value is SnapshotState {
  return typeof value === "string" && Object.hasOwn(ofPhases, value);
}
