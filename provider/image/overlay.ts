/** Whether an overlay holds anything of its own. */

import { z } from "zod";
import { BugError } from "../core/errors.js";
import { parseJson } from "../core/json.js";
import type { Host } from "../host/host.js";
import { expectSuccess } from "./last-words.js";

/** `present`: allocated in the image, be it as data or as zeroes. @see qemu-img(1), map --output=json (6.1 and later) */
const map = z.array(z.object({ present: z.boolean() }));

/**
 * Looks at the image alone, so that its backing file need not be there; also while a guest has it open, but then QEMU may know more than
 * the file shows.
 *
 * @host qemu-img
 * @for reading
 * @does `map -U`: looks whether an overlay holds anything of its own
 * @changes nothing
 * @as the account
 * @why an overlay that holds writes is never removed
 */
export async function overlayContent(host: Host, path: string, format = "qcow2"): Promise<"empty" | "holds-writes"> {
  const alone = `json:${JSON.stringify({ driver: format, backing: null, file: { driver: "file", filename: path } })}`;
  const finished = await host.run('qemu-img map -U --output=json "$1"', [alone]);
  expectSuccess(host, finished, `Unable to see what ${path} holds`);
  const extents = map.safeParse(parseJson(finished.stdout));
  if (!extents.success)
    throw new BugError(`Unable to read what qemu-img maps of ${path} on ${host.name}: ${z.prettifyError(extents.error)}.`);
  return extents.data.some(({ present }) => present) ? "holds-writes" : "empty";
}
