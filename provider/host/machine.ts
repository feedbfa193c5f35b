/** Which machine is at the end of a way to a host: several ways may lead to one, by other names, other jumps, other users. */

import type { Host } from "./host.js";

/** The running kernel's own id: addresses and names are not unique. @see proc(5), /proc/sys/kernel/random/boot_id */
export async function machineOf(host: Host): Promise<string> {
  return (await host.worker()).hello.bootId;
}
