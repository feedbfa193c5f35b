/** What the host shows of one disk's mirrored snapshot: a union, so that what cannot be does not compile. */

import type { Job } from "../../core/disk/job.js";
import type { SwitchSide } from "../../journal/decided-by.js";

/** Phases in the order of a snapshot's life. `file` is the overlay that takes the guest's writes, `mirror` where they go too. */
export type SnapshotPhase =
  /** Nothing was begun; the guest is on neither of the two files. */
  | { phase: "absent" }
  /** Written down beside `file` only. */
  | { phase: "recorded" }
  /** Written down at both, and the guest still on the image from before: the snapshot is not taken. */
  | { phase: "prepared" }
  /**
   * The guest writes to `file`, and nothing mirrors it. `restart`: QEMU has ended since the mirror was there. `cut`: this very QEMU
   * took the snapshot, and the mirror was not started yet, or was cancelled.
   */
  | { phase: "lost"; since: "restart" | "cut" }
  | { phase: "mirroring"; job: Job }
  /** The job waits after an error: the mirror's storage is full, or answered with an I/O error. The guest writes on. */
  | { phase: "stalled"; job: Job }
  /** Both files hold the same. */
  | { phase: "ready"; job: Job }
  /** On its way from one state to the next by itself. */
  | { phase: "turning"; job: Job }
  /** Both are identical on disk, and the guest's I/O waits. `current` says how it must go on. */
  | { phase: "pending"; job: Job; current: "source" | "destination" }
  /** A pivot is written down and has not ended: it was cut, or was carried out right now. `ends`: on `file` (before), or on `mirror`. */
  | { phase: "switch-cut"; ends: SwitchSide; jobs: "pending" | "over" }
  /** The job ended, and the guest is on `file`. */
  | { phase: "broken-off"; job: Job }
  /** The pivot was written down, but the guest runs on `file`, and was never let onto `mirror`. */
  | { phase: "not-let-go" }
  /** The guest runs on `mirror`; what is left is tidying. */
  | { phase: "pivoted" }
  /** Nothing of the snapshot is left, and the guest runs on one of its two files. */
  | { phase: "ended"; on: "file" | "mirror" }
  /** What the host shows cannot come from our steps, or belongs to somebody else: stop, and say what was found. */
  | {
      phase: "contradiction";
      why: string;
      /** Somebody has put this on top of an image of the snapshot: a boot must use it. */
      foreignTop?: string;
    };

export type SnapshotState = SnapshotPhase["phase"];

/** One disk as the step chooser sees it. */
export interface SeenPhase {
  /** The user's name of it. */
  disk: string;
  seen: SnapshotPhase;
}
