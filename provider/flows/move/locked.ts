/** The places of a move, held by one run at a time. */

import { type HeldPlaces, withPlaces } from "../../reconciler/held-places.js";
import { endSharedLook } from "../shared/shared-look.js";
import type { Site } from "../shared/site.js";
import { observeNames } from "./look/observe.js";
import { awaitFormerSwitch } from "./managed/former-switch.js";
import { letGoSuspended } from "./managed/suspended.js";

/**
 * Does `work` while no other run may touch these disks' places. First waits for a switch of a run of 0.1.0, and resumes a guest that one of
 * ours has left suspended.
 * @throws UserError if another run holds a lock, a switch is not over, its guest is suspended still, or a disk or a manifest is not as it must be: then
 *   `work` was not begun
 */
export async function withPlacesLocked<T>(site: Site, disks: readonly string[], work: (places: HeldPlaces) => Promise<T>): Promise<T> {
  endSharedLook(site.host);
  try {
    const find = () => observeNames(site, disks);
    return await withPlaces(site, find, async (places) => {
      await awaitFormerSwitch(site, places.all);
      await letGoSuspended(site, disks);
      return await work(places);
    });
  } finally {
    endSharedLook(site.host); // one that was begun meanwhile may have seen a disk half-way
  }
}
