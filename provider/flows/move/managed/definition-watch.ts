/**
 * Strategy snapshot: while an overlay takes the guest's writes, its persistent definition must name that. Others write definitions too, as a tool that keeps them
 * under version control does: between two steps the next observation shows it, in a long one somebody has to look.
 */

import { every } from "../../../core/async/every.js";
import type { World } from "../../../core/world.js";
import type { Guest, GuestView } from "../../../hypervisor/hypervisor.js";
import type { Seen, SeenDisk } from "../../shared/site.js";
import { definitionBehind } from "../look/definition.js";

/** For so long a start may find the frozen image, which lacks what was written since. */
const pollSeconds = 5;

interface Watched {
  guest: Pick<Guest, "redefine" | "look">;
  /** Before each change: whether this run may still act. */
  check: () => Promise<void>;
}

/** Looks again and again while `work` goes on, and corrects what names another image of the move. */
export async function withDefinitionWatched<T>(
  { guest, world, seen, check }: Watched & { world: Pick<World, "after">; seen: Seen },
  work: () => Promise<T>,
): Promise<T> {
  const frozen = seen.disks.filter(({ standing, image }) => standing === "overlay" && image.definedAt !== undefined);
  if (frozen.length === 0) return work();
  let isLooking = false;
  const look = async () => {
    if (isLooking) return;
    isLooking = true;
    // what cannot be asked or changed now is looked at again, and shows in the next step
    await correct({ guest, check }, frozen).catch(() => {});
    isLooking = false;
  };
  const callOff = every(world, pollSeconds, () => void look());
  try {
    return await work();
  } finally {
    callOff();
  }
}

async function correct({ guest, check }: Watched, disks: readonly SeenDisk[]): Promise<void> {
  const view = await guest.look();
  for (const disk of disks) {
    const active = behind(view, disk);
    if (!active) continue;
    await check();
    await guest.redefine(disk.qdev, active);
  }
}

/** What its definition should name, and does not. */
function behind(view: GuestView, { qdev, manifest }: SeenDisk): { path: string; format: string } | undefined {
  const medium = view.disks.find((device) => device.qdev === qdev)?.medium;
  if (medium?.kind !== "image" || !manifest) return undefined;
  const [active] = medium.chain;
  return definitionBehind(manifest, medium, active.path) ? active : undefined;
}
