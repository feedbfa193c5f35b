/** How much room a copy takes. */

import { UserError } from "../../core/errors.js";
import type { Host } from "../../host/host.js";
import { lastWords } from "../../image/last-words.js";
import { GAP_BYTES, mergeExtents, parseExtent, totalBytes } from "./extents.js";
import { MAP_DATA } from "./layer-script.js";

const MIB = 1024 * 1024;

/** A file of a million extents is mapped in seconds; a disk that sleeps wakes in some more. */
const MAP_SECONDS = 120;

/**
 * What copying `path` writes at most, rounded up to MiB: its data, and the short holes that are copied as zeros.
 * Not what it has allocated: a file system that compresses allocates less than the copy may need.
 * @throws UserError if there is no such file
 *
 * @host qemu-img, awk, stat
 * @for reading
 * @does `map -U`: looks how much data a layer holds
 * @changes nothing
 * @as the account
 * @why whether the destination has room for it; today only tests call it
 */
export async function bytesToCopy(host: Host, path: string): Promise<number> {
  const script = `${MAP_DATA}\nexport LC_ALL=C; stat -L -c %s -- "$1" && map_data "$1" "$2"`;
  const { exitStatus, stdout, stderr } = await host.run(script, [path, String(GAP_BYTES)], { timeoutSeconds: MAP_SECONDS });
  const [size = "", ...lines] = stdout.trimEnd().split("\n");
  if (exitStatus !== 0 || lines.pop() !== ".") {
    throw new UserError(`Unable to read the size of ${path} on ${host.name}: ${lastWords(stderr + stdout)}.`);
  }
  return Math.ceil(totalBytes(mergeExtents(lines.map(parseExtent), Number(size))) / MIB) * MIB;
}
