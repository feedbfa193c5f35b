/** Which machine is at the end of a way to a host: several ways may lead to one, by other names, other jumps, other users. */

import type { Host } from "./host.js";

const asked = new WeakMap<Host, Promise<string>>();

/**
 * Addresses and names are not unique, a kernel's boot id is. @see proc(5), /proc/sys/kernel/random/boot_id
 *
 * @host cat
 * @for reading
 * @does reads the boot id of the kernel
 * @changes nothing
 * @as the account
 * @why moves queue by machine, not by the name that it is reached by
 */
const script = "cat /proc/sys/kernel/random/boot_id";

/**
 * The running kernel's own id; for a host that does not tell it, the name by which it is reached.
 * Asked once for each connection.
 */
export function machineOf(host: Host): Promise<string> {
  const known = asked.get(host) ?? host.run(script).then(({ stdout }) => stdout.trim() || host.name);
  asked.set(host, known);
  known.catch(() => asked.delete(host));
  return known;
}
