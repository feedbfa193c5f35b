/** A disk that somebody took from the guest in the middle of a flow. */

import type { JobStatus } from "../core/disk/job.js";
import { diskKey, jobNamesOf } from "../core/disk/names.js";
import { isKind, messageOf, UserError } from "../core/errors.js";
import type { FlowContext } from "./flow.js";
import type { DiskPlaces } from "./held-places.js";

/** A job that may be called off without a look at what is written: none that has begun to switch. */
const beforeSwitch: readonly JobStatus[] = ["running", "ready", "paused", "standby"];

/** After that the next run, or somebody, dismisses it. */
const letGoSeconds = 30;

/**
 * The job of a disk that is gone would run on for ever, and QEMU would not let its image be given to the guest again ("block device is
 * in use by block job", 7.2): it is cancelled. What was copied stays, as after every cancelled mirror.
 * @returns what to tell of a flow that ended by `reason`
 */
export async function afterUnplugging(
  context: Pick<FlowContext, "guest" | "run">,
  places: readonly DiskPlaces[],
  reason: unknown,
): Promise<unknown> {
  if (!isKind(reason, "user") || !context.guest.graph) return reason; // libvirt's jobs go with their disk
  try {
    const called = await endJobsOfMissing(context, places);
    if (called.length === 0) return reason;
    const told = `${called.join(", ")} was taken from the guest in the middle, and its job was cancelled. Give it back to the guest.`;
    return new UserError(`${messageOf(reason)} ${told}`, { cause: reason });
  } catch {
    return reason; // what ended the flow is what the user must hear
  }
}

async function endJobsOfMissing(context: Pick<FlowContext, "guest" | "run">, places: readonly DiskPlaces[]): Promise<string[]> {
  const { guest } = context;
  const { domainId, disks, jobs } = await guest.look();
  const plugged = new Set(disks.map(({ qdev }) => diskKey(domainId, qdev)));
  const called: string[] = [];
  for (const { disk, key } of places.filter((place) => !plugged.has(place.key))) {
    const names = jobNamesOf(key);
    const job = jobs.find(({ id, status }) => names.includes(id) && beforeSwitch.includes(status));
    if (!job) continue;
    await guest.cancel(job.id);
    await dismissed(context, job.id);
    called.push(disk);
  }
  return called;
}

/** Until the cancelled job has let go of its nodes; what is still in flight ends first. */
async function dismissed({ guest, run: { world } }: Pick<FlowContext, "guest" | "run">, id: string): Promise<void> {
  const deadline = world.clock() + letGoSeconds;
  while (world.clock() < deadline) {
    await guest.wakeUp(0.1);
    const job = (await guest.look()).jobs.find((one) => one.id === id);
    if (!job) return;
    if (job.status === "concluded") return guest.dismiss(id);
  }
}
