/** That the disks are this guest's alone, and the guest is here to stay: asked before the first byte, before each job, before each switch (decisions/0007). */

import { othersWith } from "../../../image/holders.js";
import { complaint } from "../../shared/complaint.js";
import type { Seen, SeenDisk, Site } from "../../shared/site.js";
import { disksOf, type Step } from "../plan.js";

/** What a check needs of a disk. */
type Disk = Pick<SeenDisk, "disk" | "qdev"> & { active: { named: string } };

export interface Refusing<D> {
  /** Makes the error. */
  refuse: (disk: D, why: string, advice: string) => Error;
  /** Of a device that may share its image, while nobody else has that open: it forbids a move, not the way back. */
  sharing: "refused" | "allowed";
}

/**
 * The steps that begin a job in the guest. Their switches ask by themselves, right before. What lets a guest go on that waits, or only
 * tidies, is never asked about: `let-go`, `cancel`, `dismiss`, `set-back`.
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

/** `finish`: the guest is at the destination, and the only way is on. */
export type Way = "move" | "finish" | "undo";

function wayOf(step: Step["step"]): Way {
  if (step === "fold") return "undo";
  return step === "collapse" ? "finish" : "move";
}

function concerned({ disks }: Seen, steps: readonly Step[]): SeenDisk[] {
  const names = steps.flatMap(disksOf);
  return disks.filter(({ disk }) => names.includes(disk));
}

/** @throws UserError for the first disk that is not this guest's alone, or if the guest is migrating */
export async function checkOthers<D extends Disk>(
  place: Pick<Site, "host" | "guest">,
  disks: readonly D[],
  to: Refusing<D>,
): Promise<void> {
  await checkGuest(place, disks, to);
  await checkHolders(place, disks, to);
}

/** The guest's half of it. */
export async function checkGuest<D extends Disk>({ guest }: Pick<Site, "guest">, disks: readonly D[], to: Refusing<D>): Promise<void> {
  const [first] = disks;
  const blockers = await guest.blockers(disks.map(({ qdev }) => qdev));
  const blocker = blockers.find(({ concerns }) => concerns === "guest" || to.sharing === "refused");
  const disk = disks.find(({ qdev }) => qdev === blocker?.qdev) ?? first;
  if (blocker && disk) throw to.refuse(disk, blocker.why, blocker.advice);
}

/** The host's half of it: who else has the active images open. */
export async function checkHolders<D extends Disk>(
  { host }: Pick<Site, "host">,
  disks: readonly D[],
  { refuse }: Refusing<D>,
): Promise<void> {
  const others = await othersWith(
    host,
    disks.map(({ active }) => active.named),
  );
  for (const [index, disk] of disks.entries()) {
    const other = others[index];
    if (other === undefined) continue;
    const why = `its active image ${disk.active.named} is open more than once (${other}), and only this guest would move`;
    throw refuse(disk, why, "Let this guest alone have it open: stop the other one, then run `pulumi up` again.");
  }
}

/** A device that may share its image is no reason to keep a move from its end, either one: only who has it open now is. */
export function refusing(site: Site, way: Way): Refusing<SeenDisk> {
  const verb = way === "undo" ? "undo the move of" : "go on with the move of";
  return {
    refuse: (disk, why, advice) => inWords(site, verb, disk, { why, advice }),
    sharing: way === "move" ? "refused" : "allowed",
  };
}

function inWords(site: Site, verb: string, { disk, manifest, active }: SeenDisk, said: { why: string; advice: string }): Error {
  const left = `The guest's disk stays on ${manifest?.current ?? active.named}, which is current; what was copied is kept.`;
  return complaint(site, { verb, disk, left, ...said });
}
