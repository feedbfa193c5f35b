/** The places of a move, held by one run at a time. */

import { type DiskPlaces, observeNames } from "./look/observe.js";
import { endSharedLook } from "./look/shared-look.js";
import { awaitSwitch } from "./managed/switch.js";
import { Locks } from "./record/lock.js";
import type { Site } from "./site.js";

/**
 * Does `work` while no other run may touch these disks' places.
 * @throws UserError if another run holds a lock, or a disk or a manifest is not as it must be: then `work` was not begun
 */
export async function withPlacesLocked<T>(
  site: Site,
  disks: readonly string[],
  work: (places: readonly DiskPlaces[]) => Promise<T>,
): Promise<T> {
  endSharedLook(site.host);
  const locks = new Locks(site.host);
  try {
    const places = await observeNames(site, disks);
    await lockPlaces(site, locks, places);
    await awaitSwitch(site, places);
    return await work(places);
  } finally {
    await locks.release();
    endSharedLook(site.host); // one that was begun meanwhile may have seen a disk half-way
  }
}

/** The source's directory first, then the destination's, then those of a move that is under way. */
async function lockPlaces(site: Site, locks: Locks, places: readonly DiskPlaces[]): Promise<void> {
  for (const { key, disk, directories } of places) {
    await locks.takeAll(directories, key, { said: (text) => site.run.progress(`${disk} ${text}`), stop: site.run.stop });
  }
}
