/** Putting a manifest right while a guest's I/O may wait: on both sides, and only where one says something else. */

import { readSmallFile, writeFileAtomically } from "../host/files.js";
import type { Host } from "../host/host.js";

/**
 * The source's first: where two manifests differ, the one that tells of fewer switches decides. So a destination that is full, or has turned
 * read-only, is no obstacle; nor is either side that says this already.
 * @returns why the destination could not be written; undefined where it says this now
 * @throws UserError if the source cannot be written
 */
export async function correctBoth(host: Host, paths: { source: string; destination: string }, text: string): Promise<unknown> {
  await writeWhereItDiffers(host, paths.source, text);
  try {
    await writeWhereItDiffers(host, paths.destination, text);
    return undefined;
  } catch (thrown) {
    return thrown;
  }
}

async function writeWhereItDiffers(host: Host, path: string, text: string): Promise<void> {
  if ((await readSmallFile(host, path)) !== text) await writeFileAtomically(host, path, text);
}
