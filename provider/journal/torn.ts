/** A manifest that 0.1.0 was writing when the power went. */

import { backOf } from "../core/disk/names.js";
import { readSmallFile } from "../host/files.js";
import type { Host } from "../host/host.js";

/** 0.1.0 appended the end of a manifest, from inside its last property, in the switch itself. Today's is whole before it has its name. */
const tornEnd = /"switched": \{[^{}]*$/;

/**
 * What stood there before that switch, for a text whose end is missing just there: the switch had not happened yet. Beside any other text
 * that cannot be read lies what an earlier switch has left, which is old.
 * @param path the manifest's
 */
export async function beforeTorn(host: Host, text: string, path: string): Promise<string | undefined> {
  if (!tornEnd.test(text)) return undefined;
  const before = await readSmallFile(host, backOf(path));
  return before !== undefined && beginOf(before) === beginOf(text) ? before : undefined;
}

/** Which move it tells of. */
function beginOf(text: string): string | undefined {
  return /"startedAt": "[^"]*"/.exec(text)?.[0];
}
