/** What the host shows of one disk's move: a union, so that what cannot be does not compile. */

import type { Job } from "../../core/disk/job.js";
import type { SwitchSide } from "../../journal/decided-by.js";
import type { MovedLayer, Standing } from "../../journal/manifest.js";

/** Phases in the order of a move. What the guest stands on is told beside them, by {@link SeenPhase.standing}. */
export type Phase =
  /** At the wanted place, and nothing of a move is left. */
  | { phase: "settled" }
  /** As `settled`, but the guest is suspended for a switch: of another disk, or one that was cut. */
  | { phase: "suspended" }
  /** At the wanted place, but the persistent definition of its domain names another file: the next start would find that. */
  | { phase: "misdefined"; definedAt: string }
  /** Not at the wanted place, and nothing was begun. */
  | { phase: "idle" }
  /** Not at the wanted place, and in a mirrored snapshot, which must end before a move begins. */
  | { phase: "snapshotted"; why: string }
  /** Written down beside the source only. */
  | { phase: "recorded" }
  /** Strategy snapshot: written down at both, and the overlay is not on top yet. */
  | { phase: "unfrozen" }
  /** The overlay takes the guest's writes; what was frozen is not written down yet. */
  | { phase: "frozen" }
  /** This is the lowest layer that is not yet in its place. */
  | { phase: "copying"; layer: MovedLayer }
  /** All layers are in place. A target may lie there from a mirror that QEMU's end cut off. */
  | { phase: "copied" }
  | { phase: "mirroring"; job: Job }
  | { phase: "ready"; job: Job }
  /** Any job of ours that waits after an error: its target is full, or answered with an I/O error. The guest runs on. */
  | { phase: "stalled"; job: Job }
  /** On its way from one state to the next by itself. */
  | { phase: "turning"; job: Job }
  /** Both sides of the job are identical on disk, and the guest's I/O waits. The side that `current` names says how it must go on. */
  | { phase: "pending"; job: Job; current: "source" | "destination" }
  /** A job of ours ended; what it did shows when it is dismissed. */
  | { phase: "ended"; job: Job }
  /** A switch is written down and has not ended: it was cut, or was carried out right now. `ends`: on which of its two images. */
  | { phase: "switch-cut"; ends: SwitchSide; jobs: "pending" | "over" }
  /** `current` names another image than the one on which the guest surely belongs: a switch was written down and not made, or made and not written down everywhere. */
  | { phase: "not-let-go" }
  /** The guest runs on the target, whose chain is one layer too long. */
  | { phase: "pivoted" }
  | { phase: "collapsing"; job: Job }
  /** The overlay's content is in the landed image, and both take the guest's writes. */
  | { phase: "collapse-ready"; job: Job }
  /** The way back: the overlay is committed down at the source. */
  | { phase: "folding"; job: Job }
  | { phase: "fold-ready"; job: Job }
  /** The guest runs on the former image again, with all that it wrote to the overlay. */
  | { phase: "folded" }
  /** The guest runs where it shall; what is left is tidying. */
  | { phase: "switched" }
  /** Before the switch, with no job: the destination is another directory than when the move began, as where its storage is not mounted. */
  | { phase: "astray"; why: string }
  /** What the host shows cannot come from our steps: stop, and say what was found. */
  | {
      phase: "contradiction";
      why: string;
      /** Somebody has put this on top of an image of the move: a boot must use it. */
      foreignTop?: string;
    };

export type PhaseName = Phase["phase"];

/** One disk as the step chooser sees it. */
export interface SeenPhase {
  /** The user's name of it. */
  disk: string;
  /** Whether the move that is under way goes where the disk is wanted now, or somewhere that is wanted no more. */
  heading: "wanted" | "elsewhere";
  /** `behind`: the persistent definition names another image of this very move than the one that takes the guest's writes. Absent: it is right, or there is none. */
  definition?: "behind";
  /** What takes the guest's writes, of the images that the move's manifest names; `former` when nothing was begun. */
  standing: Standing;
  seen: Phase;
}

/** A mirror, and any job that has a source, a destination and a `ready` as a mirror has; `current` is the side that a boot must find. */
export function phaseOfMirror(job: Job, current: "source" | "destination") {
  switch (job.status) {
    case "pending":
      return { phase: "pending", job, current } as const;
    case "ready":
      return { phase: "ready", job } as const;
    case "concluded":
      return { phase: "ended", job } as const;
    case "standby":
      return { phase: job.ioStatus === "ok" ? "ready" : "stalled", job } as const;
    case "paused":
      return { phase: "stalled", job } as const;
    case "waiting":
    case "aborting":
    case "null":
      return { phase: "turning", job } as const;
    default:
      return { phase: "mirroring", job } as const;
  }
}
