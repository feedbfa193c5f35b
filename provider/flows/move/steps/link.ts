/** What is asked of `link` before the first byte. */

import { sameFile } from "../../../core/disk/chain.js";
import { isOurName } from "../../../core/disk/names.js";
import { directoryOf, normalPath } from "../../../core/disk/paths.js";
import { seeFiles } from "../../../host/file-seen.js";
import type { GuestView } from "../../../hypervisor/hypervisor.js";
import { complaint } from "../../shared/complaint.js";
import { sameDirectory } from "../../shared/places.js";
import type { SeenDisk, Site } from "../../shared/site.js";
import { checkLinkIsOwn } from "./link-users.js";

/**
 * A link leads to the directory in which the disk is, and every disk that is found through it moves. Or the disk was moved away from it
 * by hand: then the link leads to the destination already, and stays, and so do the disks that are there.
 */
export async function checkLink(site: Site & { destination: string }, view: GuestView, disks: readonly SeenDisk[]): Promise<void> {
  const { link } = site.options;
  const first = disks[0];
  if (link === undefined || first === undefined) return;
  const refuse = (why: string, advice: string) => complaint(site, { verb: "move", disk: first.disk, why, advice });
  const [itself] = await seeFiles(site.host, [link], "keep-links");
  const [leadsTo] = await seeFiles(site.host, [link], "follow");
  if (!itself)
    throw refuse(
      `the link ${link} does not exist`,
      "Create it as a symbolic link to the disks' directory, and name the disks through it in the guest's command line.",
    );
  if (itself.kind !== "link")
    throw refuse(`${link} is a ${itself.kind} and no symbolic link`, "Name a symbolic link to the disks' directory.");
  if (leadsTo?.kind !== "directory") {
    throw refuse(
      `the link ${link} does not lead to a directory`,
      "A link to a file would make QEMU look for the backing files beside the link: link the directory.",
    );
  }
  const [wanted] = await seeFiles(site.host, [site.destination], "follow");
  const leadsHome = wanted !== undefined && sameFile(wanted, leadsTo);
  for (const disk of disks) {
    const [home] = await seeFiles(site.host, [disk.active.directory], "follow");
    if (!leadsHome && !(home && sameFile(home, leadsTo)))
      throw refuse(
        `the link ${link} does not lead to ${disk.active.directory}, where ${disk.disk} lies`,
        "Name the link through which this disk is found.",
      );
    const { active, image } = disk;
    // a disk that was moved while the guest ran is open by its place; its command line went through the link before
    const throughLink = isOurName(image.activeNode) || normalPath(directoryOf(active.named)) === link;
    if (site.options.afterwards === "keep" && !throughLink)
      throw refuse(
        `${disk.disk} was not started through the link ${link} but by ${active.named}, where a boot would find the image that is kept`,
        'Start the guest through the link, or use afterwards "quarantine".',
      );
  }
  if (leadsHome) return warnOfLink(site, link, disks);
  await checkNobodyLeftBehind(site, view, disks, refuse);
  await checkLinkIsOwn(site, { link, disks }, refuse);
}

/** Found through the link is what somebody left there, or from the mirror's start on what is not whole yet: that was so before us, and is said. */
function warnOfLink({ run, guest, host }: Site, link: string, disks: readonly SeenDisk[]): void {
  const places = disks.map(({ disk, active }) => `${disk} runs on ${active.named}`).join(", ");
  run.say(
    "warning",
    `${guest.name} on ${host.name}: the link ${link} leads to the destination, but ${places}. Until the move has switched, a boot through the link ` +
      "finds another image or none: if the guest ends before, start it from `current` in the manifest.",
  );
}

async function checkNobodyLeftBehind(
  site: Site,
  view: GuestView,
  moving: readonly SeenDisk[],
  refuse: (why: string, advice: string) => Error,
): Promise<void> {
  const home = moving[0]?.active.directory;
  for (const { qdev, medium, names } of view.disks) {
    if (home === undefined || medium.kind !== "image" || moving.some((disk) => disk.qdev === qdev)) continue;
    if ((await sameDirectory(site, directoryOf(medium.chain[0].path), home)) === "different") continue;
    const why = `${names.find((name) => !name.includes("/")) ?? qdev} lies behind the same link and would not move with it`;
    throw refuse(why, "Add it to `disks`: all disks behind a link move in one operation.");
  }
}
