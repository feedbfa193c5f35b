/** That the disks are this guest's alone, and the guest is here to stay: asked before each job and each switch (decisions/0007). Before the first byte `steps/begin.ts` asks. */

import { disksOf } from "../../reconciler/flow.js";
import { complaint } from "../shared/complaint.js";
import { checkGuest, checkOthers, type Refusing } from "../shared/others.js";
import type { Seen, SeenDisk, Site } from "../shared/site.js";
import type { Step } from "./plan.js";

/**
 * The steps that begin a job in the guest, or put an overlay on its disk. Their switches ask by themselves, right before. What lets a waiting guest go on
 * (`Flow.releasing`), or only tidies (`dismiss`, `tidy`, `clear`), asks nothing.
 */
const jobs: ReadonlySet<Step["step"]> = new Set(["freeze", "start-mirror", "collapse", "fold"]);

/**
 * Before the steps of a row, one question to the guest and one to the host for all of their disks.
 * @throws UserError if another has one of the active images open, or the guest is migrating
 */
export async function checkSteps(site: Site, seen: Seen, steps: readonly [Step, ...Step[]]): Promise<void> {
  const [{ step }] = steps;
  // a job must not go on in a QEMU that its guest has left: 7.2 ends when it writes (bdrv_co_write_req_prepare(), block/io.c)
  if (step === "wait" && seen.view.status === "postmigrate") await checkGuest(site, concerned(seen, steps), refusing(site, "move"));
  if (jobs.has(step)) await checkOthers(site, concerned(seen, steps), refusing(site, wayOf(step)));
}

/** Before each step of the row but the first, which asked the host for all of them: the guest alone is asked again. */
export async function checkNextStep(site: Site, seen: Seen, step: Step): Promise<void> {
  if (jobs.has(step.step)) await checkGuest(site, concerned(seen, [step]), refusing(site, wayOf(step.step)));
}

/** Right before a switch. @throws UserError as {@link checkSteps} */
export function checkSwitch(site: Site, disks: readonly SeenDisk[], way: Way): Promise<void> {
  return checkOthers(site, disks, refusing(site, way));
}

/** `finish`: the guest is at the destination already, so it can only go forward. */
export type Way = "move" | "finish" | "undo";

function wayOf(step: Step["step"]): Way {
  if (step === "fold") return "undo";
  return step === "collapse" ? "finish" : "move";
}

function concerned({ disks }: Seen, steps: readonly Step[]): SeenDisk[] {
  const names = steps.flatMap(disksOf);
  return disks.filter(({ disk }) => names.includes(disk));
}

/** A device that may share its image does not keep a begun move from its end; only somebody who has it open now does. */
export function refusing(site: Site, way: Way): Refusing<SeenDisk> {
  const verb = way === "undo" ? "undo the move of" : "go on with the move of";
  return {
    refuse: (disk, why, advice) => complaint(site, { verb, disk: disk.disk, left: leftOf(disk), tellsCurrent: true, why, advice }),
    sharing: way === "move" ? "refused" : "allowed",
  };
}

function leftOf({ manifest, active }: SeenDisk): string {
  return `The guest's disk stays on ${manifest?.current ?? active.named}, which is current; what was copied is kept.`;
}
