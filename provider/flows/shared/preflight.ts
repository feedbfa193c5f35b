/** What every flow asks of a disk and its guest before the first byte. */

import { isOurName } from "../../core/disk/names.js";
import { seeFiles } from "../../host/file-seen.js";
import type { GuestView, ImageView } from "../../hypervisor/hypervisor.js";
import { isImageInUse } from "../../image/qemu-img.js";
import { complaint } from "./complaint.js";
import type { SeenDisk, Site } from "./site.js";

/** What the monitor must be able to do. */
export async function checkFeatures(site: Site, disk: string, verb = "move"): Promise<void> {
  const missing = await site.guest.missingFeatures();
  if (missing.length === 0) return;
  const why = `its QEMU lacks ${missing.join(", ")}`;
  throw complaint(site, { verb, disk, why, advice: "QEMU 7.2 has all that is needed: restart the guest on that or a newer one." });
}

/** What lies in the headers was seen: sizes, bitmaps, snapshots. */
export function checkRead({ unread }: ImageView, refuse: (why: string, advice: string) => Error): void {
  if (unread === undefined) return;
  throw refuse(
    `a header of its chain cannot be read (${unread})`,
    "Let this host account read all its layers, then run `pulumi up` again.",
  );
}

/** Nobody else's job works on the disk: asked before the first byte, and again before each job of ours. */
export function checkAlone(view: GuestView, image: ImageView, refuse: (why: string, advice: string) => Error): void {
  const jobs = strangersJobs(view, image);
  if (jobs.length > 0)
    throw refuse(`somebody else's job runs on it (${jobs.join(", ")})`, "Let it end, or cancel it, then run `pulumi up` again.");
}

/**
 * Jobs that are not ours and sit on this chain. No reply names a job's node; but mirror, commit, backup and stream each put a
 * filter over the node they work on (QEMU 6.0 and later), whose file is that node's.
 */
function strangersJobs(view: GuestView, image: ImageView): string[] {
  const strangers = view.jobs.filter(({ id }) => !isOurName(id)).map(({ id, type }) => `${type} ${id}`);
  const filters = ["mirror_top", "commit_top", "copy-before-write", "copy-on-read"];
  const paths = new Set(image.chain.map(({ path }) => path));
  const sitsHere = view.nodes.some(({ name, driver, file }) => !isOurName(name) && filters.includes(driver) && paths.has(file));
  return sitsHere ? strangers : [];
}

/** QEMU's name of the active image leads us to the very file that QEMU has open. */
export async function checkActiveFile(site: Site, disk: Pick<SeenDisk, "disk" | "active">, verb = "move"): Promise<void> {
  const { named } = disk.active;
  const [found] = await seeFiles(site.host, [named], "follow");
  const refuse = (why: string) =>
    complaint(site, {
      verb,
      disk: disk.disk,
      why,
      advice: "Name the image by its absolute path in the guest's configuration, in a place that this host account sees too.",
    });
  if (!found) throw refuse(`QEMU has ${named} open, but there is no such file for us`);
  const process = await site.guest.process();
  const proved = process ? process.openFiles.has(`${found.dev}:${found.ino}`) : await isImageInUse(site.host, named);
  if (proved) return;
  await site.guest.jobs(); // a QEMU that has ended meanwhile has nothing open: then that is what is told
  throw refuse(`${named} is not the file that QEMU has open`);
}
