/** How much room a copy takes. */

import { UserError } from "../errors.js";
import type { Host } from "../host/host.js";

const MIB = 1024 * 1024;

/**
 * What copying `path` will write at most: what it has allocated, rounded up to MiB.
 * Less where the destination can share the blocks; holes under 1 MiB are filled, which a file of many tiny extents shows.
 * @throws UserError if there is no such file
 */
export async function bytesToCopy(host: Host, path: string): Promise<number> {
  const finished = await host.run('LC_ALL=C exec stat -L -c "%b %B" -- "$1"', [path]);
  const [blocks = 0, blockBytes = 0] = finished.stdout.trim().split(" ").map(Number);
  if (finished.exitStatus !== 0) throw new UserError(`Unable to read the size of ${path} on ${host.name}: ${finished.stderr.trim()}.`);
  return Math.ceil((blocks * blockBytes) / MIB) * MIB;
}
