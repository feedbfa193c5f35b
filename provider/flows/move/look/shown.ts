/** Where `read` shows that disks are. */

import { seeFiles } from "../../../host/file-seen.js";
import type { Host } from "../../../host/host.js";
import type { Seen, SeenDisk } from "../../shared/site.js";
import { severalPlacesText } from "./declared.js";

/**
 * Where the disks are: their directory; or, where there are several, each with its disks, in an order that does not change. A directory
 * is what it is on the host, however it is spelled; the wanted one is spelled as it was declared.
 */
export async function shownPlaces(host: Host, { disks }: Seen, wanted: string | undefined): Promise<string> {
  const placed = disks
    .map((disk) => ({ disk: disk.disk, place: placeOf(disk, wanted) }))
    .sort((one, other) => (one.disk < other.disk ? -1 : 1));
  const stats = await seeFiles(
    host,
    placed.map(({ place }) => place),
    "follow",
  );
  const groups = new Map<string, { place: string; disks: string[] }>();
  for (const [index, { disk, place }] of placed.entries()) {
    const stat = stats[index];
    const group = stat ? `${stat.dev}:${stat.ino}` : place;
    const known = groups.get(group);
    if (known) known.disks.push(disk);
    else groups.set(group, { place, disks: [disk] });
  }
  const [only, ...others] = groups.values();
  if (only && others.length === 0) return only.place;
  return severalPlacesText([...groups.values()]);
}

function placeOf({ seen, active }: SeenDisk, wanted: string | undefined): string {
  const isThere = seen.phase === "settled" || seen.phase === "misdefined";
  return isThere && wanted !== undefined ? wanted : active.directory;
}
