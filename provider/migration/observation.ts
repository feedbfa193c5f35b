/** What the host shows of one disk's move: a union, so that what cannot be does not compile. */

import type { Job } from "../disk/job.js";
import type { MovedLayer } from "./manifest.js";

/** Phases in the order of a move. `source` and `destination` are those that the manifest names. */
export type Phase =
  /** At the wanted place, and nothing of a move is left. */
  | { phase: "settled" }
  /** Not at the wanted place, and nothing was begun. */
  | { phase: "idle" }
  /** Not at the wanted place, and in a mirrored snapshot, which must end before a move begins. */
  | { phase: "snapshotted"; why: string }
  /** Written down beside the source only. */
  | { phase: "recorded" }
  /** Written down at both; this is the lowest layer that is not yet in its place. */
  | { phase: "copying"; layer: MovedLayer }
  /** All lower layers are in place. A target may lie there from a mirror that QEMU's end cut off. */
  | { phase: "copied" }
  | { phase: "mirroring"; job: Job }
  /** The job waits after an error: the destination is full, or answered with an I/O error. The guest runs on the source. */
  | { phase: "stalled"; job: Job }
  | { phase: "ready"; job: Job }
  /** On its way from one state to the next by itself. */
  | { phase: "turning"; job: Job }
  /** Both sides are identical on disk, and the guest's I/O waits. `current` says how it must go on. */
  | { phase: "pending"; job: Job; current: "source" | "destination" }
  /** The job ended, and the guest is on the source. */
  | { phase: "broken-off"; job: Job }
  /** `current` names the destination, but the guest runs on the source, and was never let onto the destination. */
  | { phase: "not-let-go" }
  /** The guest runs on the destination; what is left is tidying. */
  | { phase: "switched" }
  /** What the host shows cannot come from our steps: stop, and say what was found. */
  | { phase: "contradiction"; why: string };

export type PhaseName = Phase["phase"];

/** One disk as the step chooser sees it. */
export interface SeenPhase {
  /** The user's name of it. */
  disk: string;
  /** Whether the move that is under way goes where the disk is wanted now, or somewhere that is wanted no more. */
  heading: "wanted" | "elsewhere";
  seen: Phase;
}
