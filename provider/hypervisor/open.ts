/** Which hypervisor answers for a guest. */

import type { Host } from "../host/host.js";
import type { DomainArgs } from "./address.js";
import type { Guest } from "./hypervisor.js";
import { openGuest as openLibvirtGuest } from "./libvirt/guest.js";
import { openGuest as openQemuGuest } from "./qemu/guest.js";

/** Asks nothing yet. */
export function openGuest(host: Host, domain: DomainArgs): Guest {
  return "qmp" in domain ? openQemuGuest(host, domain) : openLibvirtGuest(host, domain);
}
