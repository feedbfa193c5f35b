/** The step chooser: what was observed and how the snapshot is to go on → the one next step. Pure; no clock, no I/O. */

import { impossible } from "../../core/errors.js";
import { endOfHalfRecorded, firstOf, type SwitchStep } from "../shared/choose.js";
import type { SeenPhase, SnapshotPhase } from "./observation.js";

/** `mirror`: it shall last. `pivot` and `abort`: it shall end on the mirror, or on the overlay. */
export type Goal = "mirror" | "pivot" | "abort";

/** One step. Where it names `disks`, it is one step over all of them. */
export type Step =
  | SwitchStep
  | { step: "stop"; disk: string; why: string; advice: string }
  | { step: "begin"; disks: string[] }
  | { step: "record-mirror"; disk: string }
  | { step: "take-snapshot"; disks: string[] }
  | { step: "start-mirror"; disk: string }
  | { step: "continue-mirror"; disk: string }
  | { step: "drop"; disk: string };

/**
 * Which step goes first when disks stand at different places. Guest I/O that waits comes before all else. The snapshot comes
 * after all of its disks are prepared, the pivot after all are ready: so both are for all disks or for none.
 */
const first: readonly Step["step"][] = [
  "end-switch",
  "let-go",
  "stop",
  "set-back",
  "dismiss",
  "tidy",
  "cancel",
  "clear",
  "drop",
  "begin",
  "record-mirror",
  "take-snapshot",
  "start-mirror",
  "continue-mirror",
  "wait",
  "pivot",
  "done",
];

export function nextStep(goal: Goal, disks: readonly SeenPhase[]): Step {
  const urgent = endOfHalfRecorded(disks) ?? tornApart(goal, disks);
  if (urgent !== undefined) return urgent;
  const [step] = firstOf(
    { first },
    disks.map(({ disk, seen }) => stepFor(goal, disk, seen)),
  ) ?? [{ step: "done" }];
  return step;
}

const before: readonly SnapshotPhase["phase"][] = ["absent", "recorded", "prepared"];

/** One snapshot is taken of all disks at once, so none can lack it where another has it. */
function tornApart(goal: Goal, disks: readonly SeenPhase[]): Step | undefined {
  if (disks.some(({ seen }) => seen.phase === "switch-cut")) return undefined;
  const without = disks.find(({ seen }) => before.includes(seen.phase));
  const within = disks.find(({ seen }) => !before.includes(seen.phase) && seen.phase !== "contradiction");
  if (goal !== "mirror" || !without || !within) return undefined;
  const why = `${within.disk} is in the snapshot and ${without.disk} is not, although both are taken at once`;
  return { step: "stop", disk: without.disk, why, advice: "End the snapshot (`onDelete`, then destroy it) and make a new one." };
}

function stepFor(goal: Goal, disk: string, seen: SnapshotPhase): Step {
  const lasting = goal === "mirror";
  const disks = [disk];
  switch (seen.phase) {
    case "absent":
      return lasting ? { step: "begin", disks } : { step: "done" };
    case "recorded":
      return lasting ? { step: "record-mirror", disk } : { step: "clear", disk };
    case "prepared":
      return lasting ? { step: "take-snapshot", disks } : { step: "clear", disk };
    case "lost":
      return withoutMirror(goal, disk, seen.since);
    case "mirroring":
      return goal === "abort" ? { step: "cancel", disks } : { step: "wait", disks };
    case "stalled":
      return goal === "abort" ? { step: "cancel", disks } : { step: "continue-mirror", disk };
    case "ready":
      return goal === "mirror" ? { step: "done" } : goal === "pivot" ? { step: "pivot", disks } : { step: "cancel", disks };
    case "turning":
      return { step: "wait", disks };
    case "pending":
      return seen.current === "destination" ? { step: "let-go", disks } : { step: "cancel", disks };
    case "switch-cut":
      return { step: "end-switch", disks };
    case "broken-off":
      return { step: "dismiss", disk };
    case "not-let-go":
      return { step: "set-back", disk };
    case "pivoted":
      return { step: "tidy", disk };
    case "ended":
      return lasting ? alreadyEnded(disk, seen.on) : { step: "done" };
    case "contradiction":
      return { step: "stop", disk, why: seen.why, advice: "Then run again." };
    default:
      return impossible(seen);
  }
}

/** A mirror that this QEMU has lost by a cut run starts again by itself; one that ended with its QEMU only when the user asks for it. */
function withoutMirror(goal: Goal, disk: string, since: "restart" | "cut"): Step {
  if (goal === "abort") return { step: "drop", disk };
  if (goal === "mirror" || since === "cut") return { step: "start-mirror", disk };
  const why = "its mirror is lost: QEMU was started again since, and what the mirror holds is not all that the guest has written";
  const advice = 'Run `pulumi up` with the resource as it is to mirror again, then delete it; or set onDelete to "abort".';
  return { step: "stop", disk, why, advice };
}

function alreadyEnded(disk: string, on: "file" | "mirror"): Step {
  const why =
    on === "mirror"
      ? "it runs on `mirror` already: the snapshot was ended by a pivot"
      : "it runs on `file` already, and nothing mirrors it";
  return { step: "stop", disk, why, advice: "Take the resource out of the program, or name new files." };
}
