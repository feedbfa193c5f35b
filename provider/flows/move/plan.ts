/** The step chooser: what was observed and what is wanted → the one next step. Pure; no clock, no I/O. */

import { impossible } from "../../core/errors.js";
import type { MovedLayer } from "../../journal/manifest.js";
import { endOfHalfRecorded, firstOf, type SwitchStep } from "../shared/choose.js";
import type { SeenPhase } from "../shared/phase.js";

/**
 * `arrive`: the disks shall be at the destination. `withdraw`: what was begun shall end: undone before the switch,
 * finished after it.
 */
export type Goal = "arrive" | "withdraw";

/** One step. Where it names `disks`, it is one step over all of them. */
export type Step =
  | SwitchStep
  | { step: "stop"; disk: string; why: string }
  | { step: "begin"; disks: string[] }
  | { step: "record-destination"; disk: string }
  | { step: "freeze"; disks: string[] }
  | { step: "record-frozen"; disk: string }
  | { step: "copy"; disk: string; layer: MovedLayer }
  | { step: "start-mirror"; disk: string }
  | { step: "collapse"; disk: string }
  | { step: "fold"; disk: string }
  | { step: "continue"; disk: string }
  | { step: "switch-collapsed"; disks: string[] }
  | { step: "switch-folded"; disks: string[] }
  | { step: "redefine"; disk: string }
  | { step: "resume"; disks: string[] };

/**
 * Which step goes first when disks stand at different places. Guest I/O that waits comes before all else; a switch comes
 * last, when every disk is ready for it, so that several disks switch all or none.
 */
const first: readonly Step["step"][] = [
  "end-switch",
  "let-go",
  "resume",
  "stop",
  "redefine",
  "set-back",
  "dismiss",
  "tidy",
  "cancel",
  "clear",
  "begin",
  "record-destination",
  "freeze",
  "record-frozen",
  "copy",
  "start-mirror",
  "collapse",
  "fold",
  "continue",
  "wait",
  "pivot",
  "switch-collapsed",
  "switch-folded",
  "done",
];

/** Steps that end the wait of a guest's I/O. */
export const releasing: ReadonlySet<Step["step"]> = new Set(["end-switch", "let-go", "resume", "set-back", "cancel"]);

/** Steps of one disk that touch no other: with many disks they are taken in a row, after one look. */
const rows: readonly Step["step"][] = ["record-destination", "record-frozen", "copy", "start-mirror", "tidy", "clear"];

export function nextStep(goal: Goal, disks: readonly SeenPhase[]): Step {
  return nextSteps(goal, disks)[0];
}

/**
 * The next step, and the same one for the disks that need it too and that it does not touch.
 * @param guest `suspended`: by a switch, of whichever disk. As long as it stands still, nothing else is worth a step.
 */
export function nextSteps(
  goal: Goal,
  disks: readonly SeenPhase[],
  guest: "suspended" | "not-suspended" = "not-suspended",
): [Step, ...Step[]] {
  if (guest === "suspended") return [{ step: "resume", disks: disks.map(({ disk }) => disk) }];
  const urgent = endOfHalfRecorded(disks);
  if (urgent !== undefined) return [urgent];
  const steps = disks.map((disk) => stepFor(disk.heading === "elsewhere" ? "withdraw" : goal, disk));
  return firstOf({ first, rows }, steps) ?? [{ step: "done" }];
}

function stepFor(goal: Goal, { disk, standing, definition, seen }: SeenPhase): Step {
  const disks = [disk];
  // before all else: a guest that ends now must be started from where it was
  const isSure = seen.phase !== "contradiction" || seen.foreignTop !== undefined;
  if (definition === "behind" && isSure) return { step: "redefine", disk };
  const either = (arriving: Step, withdrawing: Step) => (goal === "arrive" ? arriving : withdrawing);
  // what the guest wrote to an overlay goes down into the former image before anything is removed
  const back: Step = standing === "overlay" ? { step: "fold", disk } : { step: "clear", disk };
  const cancel: Step = { step: "cancel", disks };
  switch (seen.phase) {
    case "settled":
      return { step: "done" };
    case "suspended":
      return { step: "resume", disks };
    case "misdefined":
      return either({ step: "redefine", disk }, { step: "done" });
    case "idle":
      return either({ step: "begin", disks }, { step: "done" });
    case "snapshotted":
      return either({ step: "stop", disk, why: seen.why }, { step: "done" });
    case "recorded":
      return either({ step: "record-destination", disk }, back);
    case "unfrozen":
      return either({ step: "freeze", disks }, back);
    case "frozen":
      return either({ step: "record-frozen", disk }, back);
    case "copying":
      return either({ step: "copy", disk, layer: seen.layer }, back);
    case "copied":
      return either({ step: "start-mirror", disk }, back);
    case "mirroring":
      return either({ step: "wait", disks }, cancel);
    case "ready":
      return either({ step: "pivot", disks }, cancel);
    case "stalled":
      return standing === "target" ? { step: "continue", disk } : either({ step: "continue", disk }, cancel);
    case "turning":
      return { step: "wait", disks };
    case "pending":
      return seen.current === "destination" ? { step: "let-go", disks } : cancel;
    case "switch-cut":
      return { step: "end-switch", disks };
    case "ended":
      return { step: "dismiss", disk };
    case "not-let-go":
      return { step: "set-back", disk };
    case "pivoted":
      return { step: "collapse", disk };
    case "collapsing":
      return { step: "wait", disks };
    case "collapse-ready":
      return { step: "switch-collapsed", disks };
    case "folding":
      return either(cancel, { step: "wait", disks });
    case "fold-ready":
      return either(cancel, { step: "switch-folded", disks });
    case "folded":
      return { step: "clear", disk };
    case "switched":
      return { step: "tidy", disk };
    case "astray":
      return either({ step: "stop", disk, why: seen.why }, back);
    case "contradiction":
      return { step: "stop", disk, why: seen.why };
    default:
      return impossible(seen);
  }
}
