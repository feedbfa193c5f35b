/** The switches of a move: which image takes the guest's writes afterwards. */

import { sameFile } from "../../core/disk/chain.js";
import { seeFiles } from "../../host/file-seen.js";
import type { Manifest } from "../../journal/manifest.js";
import { disksNamed } from "../../reconciler/flow.js";
import { collapsedTurn, decidingTurn, foldedTurn, linkMovesIn, pivotTurn } from "../shared/manifest-turns.js";
import type { Outcome } from "../shared/outcome.js";
import type { Seen, SeenDisk, Site } from "../shared/site.js";
import { switchDisks } from "../shared/switch.js";
import { checkSwitch, refusing } from "./alone.js";
import { checkLanded } from "./landed.js";
import { type SwitchEnd, switchManaged } from "./managed/switch.js";
import { manifestOf, written } from "./steps/chosen.js";
import { checkLinkIsOwn } from "./steps/link-users.js";

/** For each image that a switch can end on: how a disk's turn is made, when the link moves, and how a refusal calls it. */
const switchesTo = {
  target: { turnOf: pivotTurn, link: "pivot", way: "move" },
  landing: { turnOf: collapsedTurn, link: "collapse", way: "finish" },
  former: { turnOf: foldedTurn, link: "none", way: "undo" },
} as const;

/** Of all disks that are named, at one point in time. */
export async function switchTo(
  to: SwitchEnd,
  { site, seen, outcome }: { site: Site; seen: Seen; outcome: Outcome },
  names: readonly string[],
): Promise<void> {
  const disks = disksNamed(seen, names).map(written);
  if (to === "target") await checkLanded(site, disks);
  const { managed } = site.guest;
  if (!managed) return switchByMonitor(to, { site, seen, outcome }, disks);
  await checkSwitch(site, disks, switchesTo[to].way);
  await switchManaged({ site, managed, seen, outcome }, disks, to);
}

/** Where the link leads to the destination already, because another disk's switch has moved it, its rename decides nothing. */
async function leadsThere({ host }: Site, { link, destination }: Manifest): Promise<boolean> {
  if (!link) return false;
  const [leadsTo, there] = await seeFiles(host, [link.path, destination.directory], "follow");
  return leadsTo !== undefined && there !== undefined && sameFile(leadsTo, there);
}

async function switchByMonitor(
  to: SwitchEnd,
  { site, seen, outcome }: { site: Site; seen: Seen; outcome: Outcome },
  disks: readonly SeenDisk[],
): Promise<void> {
  const [first] = disks;
  if (!first) return;
  const { turnOf, link, way } = switchesTo[to];
  const manifest = manifestOf(first);
  const linkMoves = linkMovesIn(manifest) === link && !(await leadsThere(site, manifest));
  const deciding = decidingTurn(first, manifest, linkMoves);
  const { decidedBy, path } = deciding;
  const turns = await Promise.all(disks.map((disk) => turnOf({ site, seen, decidedBy: { decidedBy, path } }, disk, manifestOf(disk))));
  await checkSwitch(site, disks, way);
  const { refuse } = refusing(site, way);
  if (decidedBy === "link") await checkLinkIsOwn(site, { link: path, disks }, (why, advice) => refuse(first, why, advice));
  await switchDisks(site, turns, deciding, outcome);
}
