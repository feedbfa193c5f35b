/** That the link is this guest's alone: asked before the first byte, and before the switch that re-points it. */

import { type LinkUser, linkUsers } from "../../../host/worker/link-users.js";
import type { SeenDisk, Site } from "../../shared/site.js";

type Refuse = (why: string, advice: string) => Error;

/** @throws what `refuse` makes, where another guest would no longer find a file of its own, or where the host does not show that none would */
export async function checkLinkIsOwn(
  site: Site,
  { link, disks }: { link: string; disks: readonly SeenDisk[] },
  refuse: Refuse,
): Promise<void> {
  const own = await site.guest.process();
  const question = { link, moving: disks.flatMap(movingFiles), except: own?.pid ?? 0 };
  const {
    users: [user],
    areHidden,
  } = await linkUsers(await site.host.worker(), question);
  if (user) throw refuse(`another guest uses the link ${link} too (${inWords(user)}), and would not find that file afterwards`, advice);
  if (areHidden)
    throw refuse(`the host hides processes from this account (hidepid), and one of them may be a guest that uses the link ${link}`, seeAll);
}

function inWords({ who, path }: LinkUser): string {
  return `${who} names ${path}`;
}

const advice = "Name the disks of each guest through a link of its own, then run `pulumi up` again.";

const seeAll =
  'Let the account see all processes (`privilege: "sudo"`, or a group that /proc is mounted with: `gid=`), then run `pulumi up` again.';

/** Whoever names one of these finds the same through the link afterwards. */
function movingFiles({ image, manifest }: SeenDisk): string[] {
  const recorded = manifest ? [manifest.source.active, ...manifest.layers.map(({ source }) => source)] : [];
  return [...image.chain.map(({ path }) => path), ...recorded];
}
