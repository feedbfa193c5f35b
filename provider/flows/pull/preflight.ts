/** What is checked before layers are pulled up, and how a pull is refused. */

import { bytesText } from "../../core/bytes.js";
import { directoryOf } from "../../core/disk/paths.js";
import { seeFiles } from "../../host/file-seen.js";
import { freeBytes, realPath } from "../../host/files.js";
import type { GuestView } from "../../hypervisor/hypervisor.js";
import { readSnapshotMark, snapshotLasts } from "../../journal/snapshot-mark.js";
import { complaint } from "../shared/complaint.js";
import { checkAlone, checkRead } from "../shared/preflight.js";
import type { Site } from "../shared/site.js";
import { checkBurdens } from "./burdens.js";
import type { PulledDisk } from "./observe.js";

export async function checkPull(
  site: Site,
  view: GuestView,
  { disk, key, qdev, image, chain, layers }: PulledDisk & { layers: number },
): Promise<void> {
  const refuse = refusal(site, disk);
  await checkBurdens(site, view, { qdev, refuse });
  const mark = await readSnapshotMark(site.host, key, [await realPath(site.host, directoryOf(chain[0]))]);
  if (mark) throw refuse(snapshotLasts(mark), "Then run `pulumi up` again.");
  if (image.readOnly) throw refuse("it is read-only", "Nothing can be pulled into a read-only image: leave `base` out.");
  checkRead(image, refuse);
  checkAlone(view, image, refuse);
  await checkOpen(site, chain.slice(0, layers + 2), refuse);
  const needed = image.chain.slice(1, layers + 1).reduce((sum, { allocatedBytes }) => sum + allocatedBytes, 0);
  const free = await freeBytes(site.host, directoryOf(chain[0]));
  if (free >= needed) return;
  const why = `${directoryOf(chain[0])} has ${bytesText(free)} free, ${bytesText(needed)} may be needed`;
  throw refuse(why, "Free space, then run `pulumi up` again.");
}

/** What the active image's header is to name is the very file that QEMU has open under that name. */
async function checkOpen({ host, guest }: Site, paths: readonly string[], refuse: (why: string, advice: string) => Error): Promise<void> {
  const open = (await guest.process())?.openFiles;
  if (!open) return;
  const files = await seeFiles(host, paths, "follow");
  const other = paths.find((_, index) => !open.has(`${files[index]?.dev}:${files[index]?.ino}`));
  if (other === undefined) return;
  throw refuse(
    `${other} is another file than the one that QEMU has open under that name`,
    "Put the right file back, then run `pulumi up` again.",
  );
}

/** The job is gone and has left no error (block-steps.ts, pull); what it has pulled is not lost. */
export function endedEarly(site: Site, { disk, chain }: PulledDisk): Error {
  return refusal(site, disk)(
    `the pull ended before ${chain[0]} stood on the declared layer`,
    "Look at the guest's log for why, then run `pulumi up` again.",
  );
}

export function refusal(site: Site, disk: string) {
  return (
    why: string,
    advice: string,
    { left = "The guest runs on, and no write is lost.", cause }: { left?: string; cause?: unknown } = {},
  ) => complaint(site, { verb: "pull up the layers of", disk, why, left, advice, cause });
}
