/** A pull through libvirt (`virsh blockpull --base`): what it would break, and how it is begun. */

import { type GuestView, type ManagedGuest, shutOff } from "../../hypervisor/hypervisor.js";
import { wordsOf } from "../shared/complaint.js";
import type { Site } from "../shared/site.js";

type Refuse = (why: string, advice: string, more?: { cause?: unknown }) => Error;

/** What libvirt knows of the domain that a pull would make useless: it has no `loses` to name that in. */
export async function checkManagedPull(
  managed: ManagedGuest,
  { status }: GuestView,
  { qdev, refuse }: { qdev: string; refuse: Refuse },
): Promise<void> {
  if (status === shutOff) throw refuse("its domain is shut off", "Start it: only the layers of running guests are pulled up.");
  const { jobs, snapshots, checkpoints, forbids } = await managed.burdens(qdev);
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

interface Pull {
  disk: string;
  qdev: string;
  /** The layer that stays, as libvirt names it. */
  layer: string | undefined;
  refuse: Refuse;
}

export async function startManagedPull({ run, options }: Site, managed: ManagedGuest, { disk, qdev, layer, refuse }: Pull): Promise<void> {
  if (layer === undefined)
    throw refuse("libvirt does not tell which of its layers that is", "Restart the guest, then run `pulumi up` again.");
  try {
    const named = await managed.startPull(qdev, layer, options.maxBytesPerSecond);
    if (named === "absolute")
      run.say("info", `${disk}: its image then names ${layer} by its full path: libvirt keeps no relative name here.`);
  } catch (cause) {
    throw refuse(wordsOf(cause), "Fix the reported problem, then run `pulumi up` again.", { cause });
  }
}
