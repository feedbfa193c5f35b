/** Where a manifest on the host says that a boot must find its disk. */

import { existsSync } from "node:fs";
import { readlink } from "node:fs/promises";
import path from "node:path";

interface Undecided {
  decidedBy: "link" | "switch-record";
  path: string;
  before: string;
  after: string;
}

/** In a switch that has not ended: as what decides it says. A manifest of 0.1.0 has a path. */
export async function currentIn(text: string): Promise<string> {
  const { current, destination } = JSON.parse(text) as { current: string | Undecided; destination?: { directory: string } };
  if (typeof current === "string") return current;
  const { decidedBy, path: decider, before, after } = current;
  if (decidedBy === "switch-record") return existsSync(decider) ? after : before;
  return (await readlink(decider)) === (destination?.directory ?? path.dirname(after)) ? after : before;
}

/** The last image that a manifest names. */
export function furthestIn(text: string): string {
  const { current } = JSON.parse(text) as { current: string | Undecided };
  return typeof current === "string" ? current : current.after;
}
