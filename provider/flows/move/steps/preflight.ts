/** All that is asked before the first byte: everything that a user can have got wrong is refused here, with nothing touched. */

import { baseName, within } from "../../../core/disk/paths.js";
import { seeFiles } from "../../../host/file-seen.js";
import type { GuestView, ImageView } from "../../../hypervisor/hypervisor.js";
import { complaint } from "../../shared/complaint.js";
import { checkAlone, checkRead } from "../../shared/preflight.js";
import type { SeenDisk, Site } from "../../shared/site.js";

/** What of the disk itself forbids a move. */
export function checkDisk(site: Site, view: GuestView, disk: SeenDisk): void {
  const refuse = (why: string, advice: string) => complaint(site, { verb: "move", disk: disk.disk, why, advice });
  const { image } = disk;
  if (image.readOnly)
    throw refuse("it is read-only", "A read-only disk has no writes to keep: copy its files and change the guest's configuration.");
  checkRead(image, refuse);
  const { way, bitmaps, internalSnapshots } = leftBehind(site, image);
  const { loses } = site.options;
  if (bitmaps.length > 0 && !loses.includes("bitmaps")) {
    const why = `${way} does not carry its dirty bitmaps (${bitmaps.join(", ")})`;
    throw refuse(why, 'Add "bitmaps" to `loses` if the next backup may be a full one.');
  }
  if (internalSnapshots.length > 0 && !loses.includes("internal-snapshots")) {
    const why = `${way} does not carry its internal snapshots (${internalSnapshots.join(", ")})`;
    throw refuse(why, 'Add "internal-snapshots" to `loses` if they may stay behind with the old image.');
  }
  checkAlone(view, image, refuse);
}

/**
 * A guest's request that waits in QEMU's block layer goes on at the raw target before QEMU has let that be written to, and
 * bdrv_co_write_req_prepare() ends QEMU (7.2.22: NVMe, IDE, virtio-blk with ioeventfd=off). Never with qcow2, whose file may be written to at
 * all times, and never where the request waits in the guest's own queue. On the way back an overlay is committed down into the raw image:
 * that ended QEMU in one of four trials, so it does not help that the overlay stays.
 */
export async function checkDevice(site: Site, { disk, qdev, image }: SeenDisk): Promise<void> {
  if (image.chain[0].format !== "raw") return;
  const requests = await site.guest.requestsOf(qdev);
  if (requests.wait === "in-guest") return;
  throw complaint(site, {
    verb: "move",
    disk,
    why: `it is a raw image of the device ${requests.device}, and QEMU ends when the guest writes to one in the switch`,
    advice: "Give it to the guest as virtio-blk or virtio-scsi without ioeventfd=off, or as a qcow2.",
  });
}

/**
 * What of the image does not come along. Where the image itself is copied, and the overlay is written down into that copy, all comes
 * along that lives in it; its bitmaps are stored at the freeze, and record what the commit writes (measured on QEMU 7.2).
 */
function leftBehind({ options, guest }: Site, { dirtyBitmaps, persistentBitmaps, internalSnapshots }: ImageView) {
  const { strategy, collapse = "commit" } = options;
  if (strategy === "mirror" || guest.traits.commitKeeps === "data") return { way: "a mirror", bitmaps: dirtyBitmaps, internalSnapshots };
  if (collapse !== "commit") return { way: `collapse "${collapse}"`, bitmaps: dirtyBitmaps, internalSnapshots };
  return { way: "an image", bitmaps: dirtyBitmaps.filter((name) => !persistentBitmaps.includes(name)), internalSnapshots: [] };
}

/** ext4, xfs and most others: NAME_MAX. What a move adds to a name is at most 43 bytes long (the sidecar's and its partial copy's names); 12 are a reserve. */
const nameBytesAtMost = 255 - 55;

/** The switch renames the active image: the name must be the file's own, and leave room for what is added to it. */
export async function checkActiveName(site: Site, { disk, active, image }: SeenDisk): Promise<void> {
  const refuse = (why: string, advice: string) => complaint(site, { verb: "move", disk, why, advice });
  const [itself] = await seeFiles(site.host, [active.named], "keep-links");
  if (itself?.kind === "link")
    throw refuse(
      `${active.named} is a symbolic link to its image`,
      "Name the image itself in the guest's configuration; a `link` leads to its directory.",
    );
  for (const { path } of image.chain) {
    const bytes = Buffer.byteLength(baseName(path));
    if (bytes > nameBytesAtMost)
      throw refuse(
        `the name of ${path} has ${bytes} bytes`,
        `A move adds to names for a while: give it one of at most ${nameBytesAtMost} bytes.`,
      );
  }
}

/** The destination is a directory, and nothing of another's has the active image's name there. */
export async function checkDestination(site: Site & { destination: string }, disk: SeenDisk): Promise<void> {
  const target = within(site.destination, baseName(disk.active.named));
  const [directory, there] = await seeFiles(site.host, [site.destination, target], "keep-links");
  const [followed] = await seeFiles(site.host, [site.destination], "follow");
  const refuse = (why: string, advice: string) => complaint(site, { verb: "move", disk: disk.disk, why, advice });
  if (!directory || !followed)
    throw refuse(`there is no directory ${site.destination}`, "Create it, writable for the guest's QEMU, or name another.");
  if (followed.kind !== "directory") throw refuse(`${site.destination} is not a directory`, "Name a directory.");
  if (there) {
    throw refuse(
      `${target} already exists and is not ours`,
      "Take it away or give it another name: the moved disk keeps its own file name.",
    );
  }
}
