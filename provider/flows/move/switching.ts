/** The switches of a move: which image takes the guest's writes afterwards. */

import { sameFile } from "../../core/disk/chain.js";
import { seeFiles } from "../../host/file-seen.js";
import type { Deciding } from "../../hypervisor/hypervisor.js";
import type { Manifest } from "../../journal/manifest.js";
import { disksNamed } from "../../reconciler/flow.js";
import { collapseOf, decidingOf, foldOf, linkMovesIn, pivotOf } from "../shared/disk-switches.js";
import type { Outcome } from "../shared/outcome.js";
import type { RecordedDisk, Seen, Site } from "../shared/site.js";
import { switchDisks } from "../shared/switch.js";
import { checkSwitch, refusing } from "./alone.js";
import { checkLanded } from "./landed.js";
import { written } from "./steps/chosen.js";
import { checkLinkIsOwn } from "./steps/link-users.js";

/**
 * For each image that a switch can end on: a mirror's pivot ends on the `target`, a commit on the `landing`, or on the way back on the `former`
 * image. How a disk's part is made, when the link moves, and how a refusal calls it.
 */
const switchesTo = {
  target: { partOf: pivotOf, link: "pivot", way: "move" },
  landing: { partOf: collapseOf, link: "collapse", way: "finish" },
  former: { partOf: foldOf, link: "none", way: "undo" },
} as const;

/** Of all disks that are named, at one point in time. */
export async function switchTo(
  to: keyof typeof switchesTo,
  { site, seen, outcome }: { site: Site; seen: Seen; outcome: Outcome },
  names: readonly string[],
): Promise<void> {
  const disks = disksNamed(seen, names).map(written);
  const [first] = disks;
  if (!first) return;
  const { partOf, link, way } = switchesTo[to];
  if (to === "target") await checkLanded(site, disks);
  const deciding = await decidingFor(site, first, link);
  const parts = await Promise.all(disks.map((disk) => partOf({ site, seen, deciding }, disk)));
  await checkSwitch(site, disks, way);
  const { refuse } = refusing(site, way);
  if (deciding?.decidedBy === "link")
    await checkLinkIsOwn(site, { link: deciding.path, disks }, (why, advice) => refuse(first, why, advice));
  await switchDisks({ site, seen, outcome }, parts, deciding);
}

/** Nothing where the guest is suspended: where it runs then is right. */
async function decidingFor(site: Site, disk: RecordedDisk, link: "pivot" | "collapse" | "none"): Promise<Deciding | undefined> {
  if (site.guest.traits.switching === "suspended") return undefined;
  const { manifest } = disk;
  return decidingOf(disk, manifest, linkMovesIn(manifest) === link && !(await leadsThere(site, manifest)));
}

/** Where the link leads to the destination already, because another disk's switch has moved it, its rename decides nothing. */
async function leadsThere({ host }: Site, { link, destination }: Manifest): Promise<boolean> {
  if (!link) return false;
  const [leadsTo, there] = await seeFiles(host, [link.path, destination.directory], "follow");
  return leadsTo !== undefined && there !== undefined && sameFile(leadsTo, there);
}
