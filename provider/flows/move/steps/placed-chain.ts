/** The live chain with each layer's place on the host, and how much of it moves. */

import { type FileIdentity, identityOf, type Layer } from "../../../core/disk/chain.js";
import { baseName, directoryOf, within } from "../../../core/disk/paths.js";
import { BugError } from "../../../core/errors.js";
import { seeFiles } from "../../../host/file-seen.js";
import { realPath } from "../../../host/files.js";
import { complaint } from "../../shared/complaint.js";
import type { SeenDisk, Site } from "../../shared/site.js";

/** A layer of the live chain with its place on the host. */
export interface PlacedLayer extends Layer {
  /** By its real directory. */
  place: string;
  identity: FileIdentity;
}

export async function placeLayers(site: Site, disk: SeenDisk): Promise<PlacedLayer[]> {
  const home = directoryOf(disk.active.named);
  const named = disk.image.chain.map(({ path }, index) => (index === 0 ? disk.active.named : within(home, path)));
  const stats = await seeFiles(site.host, named, "follow");
  const open = (await site.guest.process())?.openFiles;
  const placed: PlacedLayer[] = [];
  for (const [index, layer] of disk.image.chain.entries()) {
    const path = named[index] ?? layer.path;
    const identity = stats[index];
    if (!identity) {
      const why = `its layer ${path} is open in QEMU, but there is no such file for us`;
      throw complaint(site, {
        verb: "move",
        disk: disk.disk,
        why,
        advice: "Put the file back under its name: a copy of it is needed at the destination.",
      });
    }
    if (open && !open.has(`${identity.dev}:${identity.ino}`)) {
      const why = `its layer ${path} is another file than the one that QEMU has open under that name`;
      const advice = "Put the file back that the guest was started with, or start the guest from the chain that is there.";
      throw complaint(site, { verb: "move", disk: disk.disk, why, advice });
    }
    placed.push({
      ...layer,
      place: within(await realPath(site.host, directoryOf(path)), baseName(path)),
      identity: identityOf(identity),
    });
  }
  return placed;
}

/** From the active layer down, as long as they lie in its directory and above `keepBase`. What lies under a layer that stays, stays. */
export async function countMoving(site: Site, disk: SeenDisk, chain: readonly PlacedLayer[]): Promise<number> {
  const outside = chain.findIndex(({ place }) => directoryOf(place) !== disk.active.directory);
  const flat = outside < 0 ? chain.length : outside;
  const { keepBase } = site.options;
  if (keepBase === undefined) return flat;
  const [kept] = await seeFiles(site.host, [keepBase], "follow");
  const index = chain.findIndex(({ identity }) => kept !== undefined && identity.dev === kept.dev && identity.ino === kept.ino);
  if (index > 0) return Math.min(index, flat);
  const why =
    index === 0
      ? `keepBase ${keepBase} is its active image`
      : `keepBase ${keepBase} is not a layer of its chain (${chain.map(({ place }) => place).join(" ← ")})`;
  throw complaint(site, { verb: "move", disk: disk.disk, why, advice: "Name a layer below the active one, or leave keepBase out." });
}

export function at(chain: readonly PlacedLayer[], index: number): PlacedLayer {
  const layer = chain[index];
  if (!layer) throw new BugError(`A chain of ${chain.length} layers was asked for layer ${index}.`);
  return layer;
}
