/** What a read shows of a move. */

import { duringSharedLook } from "../../shared/shared-look.js";
import type { Seen, Site } from "../../shared/site.js";
import { observe } from "./observe.js";
import { tellSuspended } from "./suspension.js";

/** As `observe`; what it says of disks without an unfinished move may be some seconds old. A second question of the same caller gets a new observation. */
export async function observeForReport(site: Site, disks: readonly string[]): Promise<Seen> {
  const seen = await duringSharedLook(site, disks, (from) => observe(from, disks));
  tellSuspended(site, seen.view);
  // jobs were not asked for, and what is under way goes on
  return seen.disks.some(({ manifest }) => manifest !== undefined) ? observe(site, disks) : seen;
}
