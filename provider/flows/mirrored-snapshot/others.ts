/** A mirrored snapshot's half of flows/shared/others.ts: the same check, in its own words. */

import { checkOthers, type Refusing } from "../shared/others.js";
import { refusal, type SeenDisk, type SnapshotSite } from "./site.js";

/** Before each job, and right before the pivot. @throws UserError if another has an active image open, or the guest is migrating */
export function checkDisks(site: SnapshotSite, verb: string, disks: readonly SeenDisk[]): Promise<void> {
  const refusing: Refusing<SeenDisk> = {
    refuse: ({ disk, manifest }, why, advice) => {
      const stays = manifest && { left: `The guest's disk stays on ${manifest.current}, which is current.`, tellsCurrent: true };
      return refusal(site, verb, disk)(why, advice, stays);
    },
    sharing: "refused",
  };
  return checkOthers(site, disks, refusing);
}
