/** All that is asked before the first byte: everything that a user can have got wrong is refused here, with nothing touched. */

import { sameFile } from "../../core/disk/chain.js";
import { baseName, directoryOf } from "../../core/disk/paths.js";
import { seeFiles } from "../../host/file-seen.js";
import type { GuestView } from "../../hypervisor/hypervisor.js";
import { readHeaders } from "../../image/headers.js";
import { overlayContent } from "../../image/overlay.js";
import { type ImageHeader, isImageInUse } from "../../image/qemu-img.js";
import { sameDirectory } from "../shared/places.js";
import { checkActiveFile, checkAlone, checkFeatures } from "../shared/preflight.js";
import { refusal, type SeenDisk, type SnapshotSite } from "./site.js";

export const verb = "take a mirrored snapshot of";

/**
 * The proposal mirrors before the copy, and lets the mirror stand on the copy at the pivot. libvirt has no command for that:
 * `blockcopy --shallow --reuse-external` is refused as long as the mirror's backing file is not there (9.0), opens it with no backing at
 * all where it is, and loses writes with --synchronous-writes (decisions/0002); `blockcopy --xml` onto the *source's* chain is safe, but writes
 * that chain into the mirror's header, and nothing lets the mirror stand on the copy later. Its own order is copy first.
 */
export function checkHypervisor(site: SnapshotSite): void {
  if (site.guest.graph) return;
  const advice =
    'Use a StorageMigration with strategy "snapshot": the same snapshot, but copied first and mirrored then, which libvirt does without losing a write.';
  throw refusal(
    site,
    verb,
    site.disks.map(({ disk }) => disk).join(", "),
  )("libvirt manages the guest, and cannot let a mirror stand on layers that are copied after it was begun", advice);
}

/** What of the disk itself, or of the places, forbids the snapshot. */
export async function checkDisk(site: SnapshotSite, view: GuestView, disk: SeenDisk): Promise<void> {
  const refuse = refusal(site, verb, disk.disk);
  await checkFeatures(site, disk.disk, verb);
  if (disk.image.readOnly) throw refuse("it is read-only", "A read-only disk has no writes to mirror: copy its files.");
  checkAlone(view, disk.image, refuse);
  await checkActiveFile(site, disk, verb);
  await checkDirectories(site, disk);
}

async function checkDirectories(site: SnapshotSite, { disk, wanted, active }: SeenDisk): Promise<void> {
  const refuse = refusal(site, verb, disk);
  const [home, away] = [directoryOf(wanted.file), directoryOf(wanted.mirror)];
  const found = await seeFiles(site.host, [home, away], "follow");
  for (const [index, directory] of [home, away].entries()) {
    if (found[index]?.kind !== "directory")
      throw refuse(`there is no directory ${directory}`, "Create it, writable for the guest's QEMU, or name another.");
  }
  const twin = "What is mirrored there would find the very same files below it: name a mirror in another directory.";
  if ((await sameDirectory(site, home, away)) === "same") throw refuse(`mirror lies in the same directory as file (${home})`, twin);
  if ((await sameDirectory(site, active.directory, away)) === "same") throw refuse(`mirror lies beside the active image (${away})`, twin);
}

/** Without `reuseExternal` both names must be free. */
export async function checkNamesAreFree(site: SnapshotSite, { disk, wanted }: SeenDisk): Promise<void> {
  const found = await seeFiles(site.host, [wanted.file, wanted.mirror], "keep-links");
  const taken = [wanted.file, wanted.mirror].filter((_, index) => found[index]);
  if (taken.length === 0) return;
  const advice = "Take it away, or give `reuseExternal: true` if you made it for this.";
  throw refusal(site, verb, disk)(`${taken.join(" and ")} ${taken.length > 1 ? "are" : "is"} there already, and not ours`, advice);
}

/** With `reuseExternal`: the header of a file that was made before, when it is as it must be. */
export async function checkExternal(site: SnapshotSite, disk: SeenDisk, role: "file" | "mirror"): Promise<ImageHeader> {
  const path = disk.wanted[role];
  const refuse = refusal(site, verb, disk.disk);
  const [there] = await seeFiles(site.host, [path], "keep-links");
  if (!there) throw refuse(`there is no ${path}, and reuseExternal says so`, "Make it (`qemu-img create -u`), or leave reuseExternal out.");
  if (there.kind !== "file") throw refuse(`${path} is a ${there.kind} and no file`, "Name a file.");
  if (await isImageInUse(site.host, path))
    throw refuse(`some QEMU has ${path} open for writing`, "Name a file of its own for each snapshot.");
  const [header = { why: "it was not read" }] = await readHeaders(site.host, [{ path, format: "qcow2" }]);
  const { format, virtualBytes } = disk.image.chain[0];
  const remake = `Make it again: qemu-img create -u -f qcow2 -b ${baseName(disk.active.named)} -F ${format} ${path} ${virtualBytes}.`;
  if ("why" in header)
    throw refuse(`${path} cannot be read as a qcow2 image (${header.why}), and only a qcow2 one stands on a backing file`, remake);
  const wrong = wrongHeader(disk, header) ?? (await wrongBacking(site, disk, header, role));
  if (wrong !== undefined) throw refuse(`${path} ${wrong}`, remake);
  if ((await overlayContent(site.host, path)) === "holds-writes")
    throw refuse(`${path} is not empty: it would hide what lies below it`, remake);
  return header;
}

function wrongHeader({ image, active }: SeenDisk, header: ImageHeader): string | undefined {
  const [top] = image.chain;
  if (header.virtualBytes !== top.virtualBytes) return `has ${header.virtualBytes} bytes, and the disk ${top.virtualBytes}`;
  if (header.backingName === undefined) return `names no backing file, and shall stand on ${active.named}`;
  if (header.backingFormat !== top.format)
    return `names ${header.backingFormat ?? "no format"} as the format of its backing file, and ${active.named} is ${top.format}`;
  return undefined;
}

/** `file` stands on the active image itself. `mirror` will stand on the copy of it, so its name leads there, and not back. */
async function wrongBacking(site: SnapshotSite, disk: SeenDisk, header: ImageHeader, role: "file" | "mirror"): Promise<string | undefined> {
  const { named } = disk.active;
  const leadsTo = header.backingPath;
  if (leadsTo === undefined) return `names ${header.backingName} as its backing file, and qemu-img does not tell where that leads`;
  const { keepBase } = site.options;
  const [active, found, kept] = await seeFiles(site.host, [named, leadsTo, keepBase ?? named], "follow");
  const isActive = active !== undefined && found !== undefined && sameFile(active, found);
  if (role === "file")
    return isActive ? undefined : `names ${header.backingName} as its backing file, which leads to ${leadsTo} and not to ${named}`;
  if (isActive) {
    const mayStay = keepBase !== undefined && kept !== undefined && sameFile(kept, active);
    return mayStay
      ? undefined
      : `names ${header.backingName} as its backing file, which leads back to ${named} itself and not to a copy of it`;
  }
  if (baseName(leadsTo) === baseName(named)) return undefined;
  return `names ${header.backingName} as its backing file, and not the copy of ${baseName(named)}`;
}
