/** The words in which outputs say where a disk stands: few, for people and programs, whatever the phases are called. Pure. */

import type { Phase, PhaseName, SeenPhase } from "./phase.js";

/**
 * Where a disk stands.
 *
 * - `settled`: it is as declared, and nothing is under way.
 * - `elsewhere`: it is not where it is declared, or its `base` is not the declared one, and nothing was begun.
 * - `moving`: it is being copied, mirrored or pulled up, or that was cut; a boot finds it where it was.
 * - `switching`: a switch is under way or was cut, and the guest may wait for it; the next `up` ends it first.
 * - `cleaning-up`: the guest runs where it shall; what is left is to shorten the chain, to tidy, or to correct the persistent definition.
 * - `undoing`: it is on its way back to the source's exact chain.
 * - `needs-attention`: it does not go on by itself, for example because its storage is full; the next `up` tries again, or says what to do.
 */
export type DiskStatus = "settled" | "elsewhere" | "moving" | "switching" | "cleaning-up" | "undoing" | "needs-attention";

const ofPhases: Readonly<Record<PhaseName, DiskStatus>> = {
  settled: "settled",
  suspended: "switching",
  misdefined: "cleaning-up",
  idle: "elsewhere",
  snapshotted: "elsewhere",
  recorded: "moving",
  unfrozen: "moving",
  frozen: "moving",
  copying: "moving",
  copied: "moving",
  mirroring: "moving",
  ready: "moving",
  stalled: "needs-attention",
  turning: "moving",
  pending: "switching",
  ended: "moving",
  "switch-cut": "switching",
  "not-let-go": "switching",
  pivoted: "cleaning-up",
  collapsing: "cleaning-up",
  "collapse-ready": "cleaning-up",
  folding: "undoing",
  "fold-ready": "undoing",
  folded: "undoing",
  switched: "cleaning-up",
  astray: "needs-attention",
  contradiction: "needs-attention",
};

/** Some phases are of any job: what takes the guest's writes says which part of a move it belongs to. */
export function statusOf({ seen, standing, heading }: Pick<SeenPhase, "seen" | "standing" | "heading">): DiskStatus {
  const status = ofPhases[seen.phase];
  if (status !== "moving") return status;
  if (standing === "target" || standing === "landing") return "cleaning-up";
  return heading === "elsewhere" || goesBack(seen) ? "undoing" : "moving";
}

/** Before the switch the only commit is that of the overlay down into the source's image. */
function goesBack(seen: Phase): boolean {
  return "job" in seen && seen.job.type === "commit";
}

/**
 * What a state says of a disk. That of 0.1.0 has a phase and no status; a word that only a newer version knows needs a look.
 * Undefined where it says nothing.
 */
export function statusIn({ status, phase }: { status?: unknown; phase?: unknown }): DiskStatus | undefined {
  if (status !== undefined) return isStatus(status) ? status : "needs-attention";
  if (phase === undefined) return undefined;
  return isPhase(phase) ? ofPhases[phase] : "needs-attention";
}

function isStatus(value: unknown): value is DiskStatus {
  return Object.values<unknown>(ofPhases).includes(value);
}

function isPhase(value: unknown): value is PhaseName {
  return typeof value === "string" && Object.hasOwn(ofPhases, value);
}

/** Whether a status in the state says that there is work left, whatever the inputs say. */
export function isUnfinished(status: DiskStatus): boolean {
  return status !== "settled" && status !== "elsewhere";
}
