/** What `virsh domstats --state --block --backing` says. Pure. */

export interface DomainStats {
  state: string;
  /** By path: what the layers of running domains hold. A domain that does not run has none. */
  files: ReadonlyMap<string, { allocatedBytes: number; virtualBytes: number }>;
}

/** @see libvirt, enum virDomainState */
const states = ["no state", "running", "blocked", "paused", "in shutdown", "shut off", "crashed", "pmsuspended"] as const;

export function readStats(text: string): DomainStats {
  const values = new Map<string, string>();
  for (const line of text.split("\n")) {
    const at = line.indexOf("=");
    if (at > 0 && line.startsWith("  ")) values.set(line.slice(2, at), line.slice(at + 1));
  }
  const files = new Map<string, { allocatedBytes: number; virtualBytes: number }>();
  for (const [key, path] of values) {
    const place = /^block\.\d+\.(?=path$)/.exec(key)?.[0];
    if (place === undefined) continue;
    const bytes = (name: string) => Number(values.get(`${place}${name}`) ?? 0);
    files.set(path, { allocatedBytes: bytes("physical") || bytes("allocation"), virtualBytes: bytes("capacity") });
  }
  return { state: states[Number(values.get("state.state"))] ?? "no state", files };
}
