/** From arguments to a site: the host connected, the guest found. */

import type { Run } from "../../core/lifecycle.js";
import { connectHost } from "../../host/connection.js";
import type { HostArgs } from "../../host/target.js";
import type { DomainArgs } from "../../hypervisor/address.js";
import { openGuest } from "../../hypervisor/open.js";
import type { MoveOptions } from "../shared/options.js";
import type { Site } from "../shared/site.js";

export interface Place {
  host: HostArgs;
  domain: DomainArgs;
  options: MoveOptions;
  destination?: string | undefined;
}

export async function openSite({ host, domain, options, destination }: Place, run: Run): Promise<Site> {
  const connected = await connectHost(host, run.credentials, run);
  return { host: connected, guest: openGuest(connected, domain), run, options, ...(destination === undefined ? {} : { destination }) };
}
