/** What runs of 0.1.0 left beside the manifests for their switch: a script on the host, which goes on when its run has ended. */

import { type DiskKey, fileNames, formerSwitchLock } from "../../../core/disk/names.js";
import { within } from "../../../core/disk/paths.js";
import { areFree } from "../../../host/free-locks.js";
import { complaint } from "../../shared/complaint.js";
import type { Site } from "../../shared/site.js";

/**
 * Until its end nothing that is seen lasts.
 * @throws UserError if it has not ended after a minute, as when libvirtd is down
 */
export async function awaitFormerSwitch(
  site: Site,
  places: readonly { key: DiskKey; disk: string; directories: readonly string[] }[],
): Promise<void> {
  if (site.guest.traits.switching === "pending") return; // there was no script
  for (const { key, disk, directories } of places) {
    const locks = directories.map((directory) => formerSwitchLock(within(directory, fileNames.manifest(key))));
    if (await areFree(site.host, locks, 60)) continue;
    const why = "the switch that a run of 0.1.0 began is not over: the host waits for libvirtd, or libvirtd for the guest's storage";
    const left = "It ends by itself, and lets the guest go on.";
    throw complaint(site, { verb: "go on with the move of", disk, why, left, advice: "Look at libvirtd there, then run again." });
  }
}
