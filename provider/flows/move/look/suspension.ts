/** What a run tells of a guest that a switch has suspended. */

import { type GuestView, suspendedNow } from "../../../hypervisor/hypervisor.js";
import type { Site } from "../../shared/site.js";

/** For a read, which changes nothing. */
export function tellSuspended({ run, host, guest }: Site, view: GuestView): void {
  if (!suspendedNow(view)) return;
  run.say(
    "warning",
    `${guest.name} on ${host.name} is suspended for a switch. If no run is under way, run \`pulumi up\`: it lets the guest go on.`,
  );
}
