/** The step chooser: what was observed and what is wanted → the one next step. Pure; no clock, no I/O. */

import { impossible } from "../errors.js";
import type { MovedLayer } from "./manifest.js";
import type { Phase, SeenPhase } from "./observation.js";

/**
 * `arrive`: the disks shall be at the destination. `withdraw`: what was begun shall end: undone before the switch,
 * finished after it.
 */
export type Goal = "arrive" | "withdraw";

/** One step. Where it names `disks`, it is one step over all of them. */
export type Step =
  | { step: "done" }
  | { step: "stop"; disk: string; why: string }
  | { step: "begin"; disks: string[] }
  | { step: "record-destination"; disk: string }
  | { step: "copy"; disk: string; layer: MovedLayer }
  | { step: "start-mirror"; disk: string }
  | { step: "continue-mirror"; disk: string }
  | { step: "wait"; disks: string[] }
  | { step: "switch"; disks: string[] }
  | { step: "let-go"; disks: string[] }
  | { step: "cancel"; disks: string[] }
  | { step: "dismiss"; disk: string }
  | { step: "set-back"; disk: string }
  | { step: "tidy"; disk: string }
  | { step: "clear"; disk: string };

/**
 * Which step goes first when disks stand at different places. Guest I/O that waits comes before all else; a switch comes
 * last, when every disk is ready for it, so that several disks switch all or none.
 */
const order: readonly Step["step"][] = [
  "let-go",
  "stop",
  "set-back",
  "dismiss",
  "tidy",
  "cancel",
  "clear",
  "begin",
  "record-destination",
  "copy",
  "start-mirror",
  "continue-mirror",
  "wait",
  "switch",
  "done",
];

export function nextStep(goal: Goal, disks: readonly SeenPhase[]): Step {
  const halfRecorded = endOfHalfRecordedSwitch(disks);
  if (halfRecorded !== undefined) return halfRecorded;
  const steps = disks.map((disk) => stepFor(disk.heading === "elsewhere" ? "withdraw" : goal, disk.disk, disk.seen));
  const first = order.find((name) => steps.some(({ step }) => step === name)) ?? "done";
  const chosen = steps.filter(({ step }) => step === first);
  return chosen.reduce<Step | undefined>(together, undefined) ?? { step: "done" };
}

/**
 * A switch that was cut before `current` was written for every disk: no disk was let go, and the link may still lead to the
 * source. So none may be let go now: what was written is set back, then all are cancelled.
 */
function endOfHalfRecordedSwitch(disks: readonly SeenPhase[]): Step | undefined {
  const pending = disks.filter(({ seen }) => seen.phase === "pending");
  const named = (side: "source" | "destination") => pending.filter(({ seen }) => seen.phase === "pending" && seen.current === side);
  if (named("source").length === 0) return undefined;
  const written = named("destination")[0];
  return written ? { step: "set-back", disk: written.disk } : { step: "cancel", disks: pending.map(({ disk }) => disk) };
}

/** Steps over several disks are one step; of the others the first disk's comes first. */
function together(sum: Step | undefined, next: Step): Step {
  if (sum === undefined) return next;
  return "disks" in sum && "disks" in next ? { ...sum, disks: [...sum.disks, ...next.disks] } : sum;
}

function stepFor(goal: Goal, disk: string, seen: Phase): Step {
  const arriving = goal === "arrive";
  const disks = [disk];
  switch (seen.phase) {
    case "settled":
      return { step: "done" };
    case "idle":
      return arriving ? { step: "begin", disks } : { step: "done" };
    case "snapshotted":
      return arriving ? { step: "stop", disk, why: seen.why } : { step: "done" };
    case "recorded":
      return arriving ? { step: "record-destination", disk } : { step: "clear", disk };
    case "copying":
      return arriving ? { step: "copy", disk, layer: seen.layer } : { step: "clear", disk };
    case "copied":
      return arriving ? { step: "start-mirror", disk } : { step: "clear", disk };
    case "mirroring":
      return arriving ? { step: "wait", disks } : { step: "cancel", disks };
    case "stalled":
      return arriving ? { step: "continue-mirror", disk } : { step: "cancel", disks };
    case "ready":
      return arriving ? { step: "switch", disks } : { step: "cancel", disks };
    case "turning":
      return { step: "wait", disks };
    case "pending":
      return seen.current === "destination" ? { step: "let-go", disks } : { step: "cancel", disks };
    case "broken-off":
      return { step: "dismiss", disk };
    case "not-let-go":
      return { step: "set-back", disk };
    case "switched":
      return { step: "tidy", disk };
    case "contradiction":
      return { step: "stop", disk, why: seen.why };
    default:
      return impossible(seen);
  }
}
