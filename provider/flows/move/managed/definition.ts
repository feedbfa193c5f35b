/** The persistent definition of a guest, at the end of a move. */

import type { Manifest } from "../../../journal/manifest.js";
import type { Outcome } from "../../shared/outcome.js";
import type { SeenDisk, Site } from "../../shared/site.js";

/** How the active image would name what it stands on, if that were ours to write. */
function wantedName({ destination, overlay }: Manifest): string | undefined {
  return (overlay && overlay.collapse !== "none" ? overlay.landingBacking : destination.backing)?.name;
}

/** After the last switch: the next start must find the disk too, whatever became of the switch's own end. What libvirt leaves is told. */
export async function settleDefinition(
  { site: { guest }, outcome }: { site: Site; outcome: Outcome },
  disk: SeenDisk,
  manifest: Manifest,
): Promise<void> {
  const { definedAt, chain } = disk.image;
  const [active] = chain;
  if (definedAt !== undefined && definedAt !== active.path) await guest.redefine(disk.qdev, active);
  const name = active.backingName;
  if (guest.traits.backingNames === "its-own" && name?.startsWith("/") && !wantedName(manifest)?.startsWith("/"))
    outcome.left(disk.disk, `${active.path} names ${name} by its full path: libvirt writes no relative names`);
  for (const file of await guest.staying()) outcome.left(disk.disk, file);
}
