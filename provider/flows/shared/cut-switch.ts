/** A switch that is written down and has not ended: on which of its two images a disk ends. Pure. */

import type { FileIdentity } from "../../core/disk/chain.js";
import type { Job } from "../../core/disk/job.js";
import { isWrittenSince, type SwitchSide } from "../../journal/decided-by.js";

export type CutPhase =
  /** The switch was cut, or has just been carried out. `jobs`: whether guest I/O waits still, in the QEMU that had the disks then. */
  | { phase: "switch-cut"; ends: SwitchSide; jobs: "pending" | "over" }
  | { phase: "turning"; job: Job }
  | { phase: "contradiction"; why: string };

/** One of the two images. */
export interface CutImage {
  path: string;
  /** The file that is there now. */
  found: FileIdentity | undefined;
  /** What it was in `pending`. */
  recorded: FileIdentity;
}

export interface FoundCut {
  /** The image that takes the guest's writes; undefined where it is another one. */
  running: SwitchSide | undefined;
  named: string;
  decided: SwitchSide;
  /** That of the switch, as long as it runs. */
  job: Job | undefined;
  /** `same`: the one that had the disks in the switch. Its images are not compared: it alone wrote to them. */
  qemu: "same" | "another";
  before: CutImage;
  after: CutImage;
}

/**
 * As long as jobs wait, what decides the switch says how they end. Afterwards the guest that runs tells, if the other image is as it was in
 * `pending`: then both held the same when it began.
 */
export function phaseOfCut(cut: FoundCut): CutPhase {
  const { running, decided, job, qemu } = cut;
  if (job && ["waiting", "aborting", "null"].includes(job.status)) return { phase: "turning", job };
  if (job) return { phase: "switch-cut", ends: decided, jobs: "pending" };
  if (running === undefined)
    return contradiction(cut, `which is neither of the two. Stop the guest and start it from ${cut[decided].path}`);
  if (qemu === "same") return { phase: "switch-cut", ends: running, jobs: "over" };
  const other = cut[running === "before" ? "after" : "before"];
  if (other.found && !isWrittenSince(other.found, other.recorded)) return { phase: "switch-cut", ends: running, jobs: "over" };
  const own = cut[running];
  const what = !other.found
    ? `${other.path} is not there any more`
    : own.found && isWrittenSince(own.found, own.recorded)
      ? "both were written to since"
      : `${other.path} was written to since`;
  return contradiction(
    cut,
    `and ${what}: each may hold writes that the other lacks. Compare them, keep both, and take away the manifests of the move once you know which is right`,
  );
}

/** The guest does not run: the side that changed since is the one that ran; if neither did, what decides says. */
export function endWithoutGuest({ decided, before, after }: Pick<FoundCut, "decided" | "before" | "after">): SwitchSide | { why: string } {
  const [left, entered] = [before, after].map(({ found, recorded }) => found && isWrittenSince(found, recorded));
  const missing = left === undefined ? before : entered === undefined ? after : undefined;
  if (missing) return { why: `${missing.path} is not there any more` };
  if (left && entered) return { why: `both ${before.path} and ${after.path} were written to since` };
  return left ? "before" : entered ? "after" : decided;
}

function contradiction({ named, before, after }: FoundCut, what: string): CutPhase {
  return { phase: "contradiction", why: `its switch from ${before.path} to ${after.path} was cut, the guest runs on ${named}, ${what}` };
}
