/**
 * Strategy snapshot: while an overlay takes the guest's writes, its persistent definition must name that. Others write definitions too, as a tool that keeps them
 * under version control does: between two steps the next observation shows it, in a long one somebody has to look.
 */

import type { Guest, GuestView } from "../../../hypervisor/hypervisor.js";
import type { Seen, SeenDisk } from "../../shared/site.js";
import { definitionBehind } from "../look/definition.js";

/** For so long a start may find the frozen image, which lacks what was written since. */
const pollSeconds = 5;

/**
 * Looks again and again while `work` goes on, and corrects what names another image of the move.
 * @param check before each change: whether this run may still act
 */
export async function withDefinitionWatched<T>(
  { guest, seen, check }: { guest: Pick<Guest, "managed" | "look">; seen: Seen; check: () => Promise<void> },
  work: () => Promise<T>,
): Promise<T> {
  const frozen = seen.disks.filter(({ standing, image }) => standing === "overlay" && image.definedAt !== undefined);
  if (!guest.managed || frozen.length === 0) return work();
  let isLooking = false;
  const look = async () => {
    if (isLooking) return;
    isLooking = true;
    // what cannot be asked or changed now is looked at again, and shows in the next step
    await correct({ guest, check }, frozen).catch(() => {});
    isLooking = false;
  };
  const timer = setInterval(() => void look(), 1000 * pollSeconds);
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}

async function correct(
  { guest, check }: { guest: Pick<Guest, "managed" | "look">; check: () => Promise<void> },
  disks: readonly SeenDisk[],
): Promise<void> {
  const view = await guest.look();
  for (const disk of disks) {
    const active = behind(view, disk);
    if (!active) continue;
    await check();
    await guest.managed?.redefine(disk.qdev, active);
  }
}

/** What its definition should name, and does not. */
function behind(view: GuestView, { qdev, manifest }: SeenDisk): { path: string; format: string } | undefined {
  const medium = view.disks.find((device) => device.qdev === qdev)?.medium;
  if (medium?.kind !== "image" || !manifest) return undefined;
  const [active] = medium.chain;
  return definitionBehind(manifest, medium, active.path) ? active : undefined;
}
