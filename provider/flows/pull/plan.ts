/** The step chooser of a pull: where the declared base is in the chain, and what our job does → the one next step. Pure. */

import type { Job } from "../../core/disk/job.js";
import { impossible } from "../../core/errors.js";

/** `pull`: the declared base shall be right below the active image. `leave`: a pull that was begun shall end where it is. */
export type Goal = "pull" | "leave";

export type SeenPull =
  /** Nothing is declared, or the declared layer is right below the active image; and no job of ours runs. */
  | { phase: "settled" }
  /** The declared layer lies deeper: these lie between, top first. */
  | { phase: "deeper"; between: readonly string[] }
  | { phase: "pulling"; job: Job }
  /** The job waits after an error: the storage is full, or answered with an I/O error. */
  | { phase: "stalled"; job: Job }
  /** All is pulled up; the layers between have not been let go. */
  | { phase: "pending"; job: Job }
  | { phase: "contradiction"; why: string };

export type Step =
  | { step: "done" }
  | { step: "stop"; disk: string; why: string }
  | { step: "start-pull"; disk: string; between: readonly string[] }
  | { step: "continue"; disk: string }
  | { step: "wait"; disks: string[] }
  | { step: "finalize"; disk: string }
  | { step: "cancel"; disks: string[] };

/** The plan of a pull in one line, from the chain that the last look has shown, top first; nothing where there is nothing to pull. */
export function pullLine(disk: string, chain: readonly { path: string }[], base: string): string | undefined {
  const index = chain.findIndex(({ path }) => path === base);
  if (index < 2) return undefined;
  const between = chain.slice(1, index).map(({ path }) => path);
  return `plan: ${disk}: pull ${between.join(", ")} up into ${chain[0]?.path}, which then stands on ${base}, live`;
}

/** A pull is of one disk. */
export function nextStep(goal: Goal, [first]: readonly { disk: string; seen: SeenPull }[]): Step {
  if (!first) return { step: "done" };
  const { disk, seen } = first;
  const leaving = goal === "leave";
  const cancel: Step = { step: "cancel", disks: [disk] };
  switch (seen.phase) {
    case "settled":
      return { step: "done" };
    case "deeper":
      return leaving ? { step: "done" } : { step: "start-pull", disk, between: seen.between };
    case "pulling":
      return leaving ? cancel : { step: "wait", disks: [disk] };
    case "stalled":
      return leaving ? cancel : { step: "continue", disk };
    case "pending":
      return leaving ? cancel : { step: "finalize", disk };
    case "contradiction":
      return leaving ? { step: "done" } : { step: "stop", disk, why: seen.why };
    default:
      return impossible(seen);
  }
}
