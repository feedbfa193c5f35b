/** Whether a look shows a guest that a switch through libvirt has suspended. */

import type { GuestView, Suspension } from "../../../hypervisor/hypervisor.js";
import type { Site } from "../../shared/site.js";

/** What a look shows of it: a switch may be under way, too. Only what acts can find out. */
export function suspendedNow({ suspension, status }: GuestView): Suspension | undefined {
  return status === "paused" ? suspension : undefined;
}

/** For a read, which changes nothing. */
export function tellSuspended({ run, host, guest }: Site, view: GuestView): void {
  if (!suspendedNow(view)) return;
  run.say(
    "warning",
    `${guest.name} on ${host.name} is suspended for a switch. If no run is under way, run \`pulumi up\`: it lets the guest go on.`,
  );
}
