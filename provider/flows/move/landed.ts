/** Right before the pivot: QEMU has the target and its chain open, but a boot will look for them by their names. */

import { isFile, isUnchanged } from "../../core/disk/chain.js";
import { seeFiles } from "../../host/file-seen.js";
import type { Manifest } from "../../journal/manifest.js";
import { layerStates } from "../../storage/directory/sidecar.js";
import { complaint } from "../shared/complaint.js";
import type { RecordedDisk, Site } from "../shared/site.js";

/** @throws UserError if a name leads nowhere by now, or to another file: to unmounted storage, or since somebody put files about */
export async function checkLanded(site: Site, disks: readonly RecordedDisk[]): Promise<void> {
  for (const disk of disks) {
    const strayed = (await strayedTarget(site, disk.manifest)) ?? (await strayedLayer(site, disk));
    if (strayed === undefined) continue;
    throw complaint(site, {
      verb: "switch",
      disk: disk.disk,
      why: `${strayed} is not there any more as this move made it, so a boot would not find the disk`,
      left: `The guest goes on writing to ${disk.manifest.current}, which is current, and the mirror goes on.`,
      advice: "Put it back, or mount its storage again, then run `pulumi up` again; or destroy the resource, which undoes the move.",
    });
  }
}

async function strayedTarget({ host }: Site, { destination: { target, file } }: Manifest): Promise<string | undefined> {
  const [there] = await seeFiles(host, [target], "keep-links");
  return there && file && isFile(there, file) ? undefined : target;
}

async function strayedLayer({ host }: Site, { key, manifest: { layers } }: RecordedDisk): Promise<string | undefined> {
  const places = layers.map(({ destination }) => destination);
  const states = await layerStates(host, places, key);
  const stats = await seeFiles(host, places, "follow");
  const strayed = layers.find(({ coming, adopted }, index) => {
    if (coming === "copy") return states[index]?.state !== "ours";
    const there = stats[index];
    return !there || (adopted && !isUnchanged(there, adopted));
  });
  return strayed?.destination;
}
