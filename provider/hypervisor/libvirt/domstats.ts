/** What `virsh domstats --state` says. Pure. */

/** @see libvirt, enum virDomainState */
const states = ["no state", "running", "blocked", "paused", "in shutdown", "shut off", "crashed", "pmsuspended"] as const;

export function readState(text: string): string {
  const number = /^ {2}state\.state=(\d+)$/m.exec(text)?.[1];
  return states[Number(number)] ?? "no state";
}
