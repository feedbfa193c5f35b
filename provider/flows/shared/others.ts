/** That the disks are this guest's alone, and the guest is here to stay (decisions/0007). */

import { othersWith } from "../../image/holders.js";
import type { SeenDisk, Site } from "./site.js";

/** What a check needs of a disk. */
type Disk = Pick<SeenDisk, "disk" | "qdev"> & { active: { named: string } };

export interface Refusing<D> {
  /** Makes the error. */
  refuse: (disk: D, why: string, advice: string) => Error;
  /** Of a device that may share its image, while nobody else has that open: it forbids a move, not the way back. */
  sharing: "refused" | "allowed";
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
