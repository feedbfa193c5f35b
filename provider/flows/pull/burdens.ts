/** What a pull would break of what the hypervisor knows of a guest. */

import { type GuestView, shutOff } from "../../hypervisor/hypervisor.js";
import type { Site } from "../shared/site.js";

type Refuse = (why: string, advice: string) => Error;

/** A pull has no `loses` to name that in. */
export async function checkBurdens(
  { guest }: Site,
  { status }: GuestView,
  { qdev, refuse }: { qdev: string; refuse: Refuse },
): Promise<void> {
  if (status === shutOff) throw refuse("its domain is shut off", "Start it: only the layers of running guests are pulled up.");
  const { jobs, snapshots, checkpoints, forbids } = await guest.burdens(qdev);
  const [forbidden] = forbids;
  if (forbidden !== undefined) throw refuse(forbidden, "Take that out of its definition, or leave `base` out.");
  if (jobs.length > 0) throw refuse(`somebody else's job runs on it (${jobs.join(", ")})`, "Let it end, or cancel it, then run again.");
  if (snapshots.length > 0)
    throw refuse(`its domain has snapshots (${snapshots.join(", ")}), which name its layers`, "Delete them (`virsh snapshot-delete`).");
  if (checkpoints.length > 0) {
    const why = `its domain has checkpoints (${checkpoints.join(", ")}), whose bitmaps may lie in what is pulled up`;
    throw refuse(why, "Delete them (`virsh checkpoint-delete`).");
  }
}
