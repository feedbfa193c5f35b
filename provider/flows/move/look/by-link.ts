/** A guest whose command line names its disks through a link: whether the link leads to the disk, and where a boot finds it. */

import { baseName, directoryOf, within } from "../../../core/disk/paths.js";
import { seeFiles } from "../../../host/file-seen.js";
import type { GuestProcess } from "../../../hypervisor/hypervisor.js";
import { sameDirectory } from "../../shared/places.js";
import type { Viewpoint } from "../../shared/site.js";

/** `another`: the name leads to another file than the one that QEMU has open, or to none. Unknown where the host hides the process, and unasked without a link. */
export type IsOpen = "open" | "another" | "unknown";

type Process = () => Promise<GuestProcess | undefined>;

interface Named {
  /** The active image as QEMU names it. */
  named: string;
  /** Of that name, links followed as they are now. */
  directory: string;
}

/** Whether a name through a link still leads where it led when QEMU opened it. */
export async function isFileOpen(site: Viewpoint, process: Process, { named, directory }: Named): Promise<IsOpen> {
  if (site.options.link === undefined || directoryOf(named) === directory) return "unknown";
  const open = (await process())?.openFiles;
  if (!open) return "unknown";
  const [found] = await seeFiles(site.host, [named], "follow");
  return found && open.has(`${found.dev}:${found.ino}`) ? "open" : "another";
}

interface Found extends Named {
  isOpen: IsOpen;
  /** Of a move that is under way. */
  current: string | undefined;
}

/** Through the link only where that leads to the disk's directory; else by a path without it. */
export async function bootPathOf(site: Viewpoint, process: Process, { named, directory, isOpen, current }: Found): Promise<string> {
  const { link } = site.options;
  if (link === undefined) return current ?? named;
  const leadsThere = isOpen !== "another" && (await sameDirectory(site, link, directory)) === "same";
  if (leadsThere) return within(link, baseName(named));
  return current ?? (isOpen === "another" ? ((await openedAs(process, baseName(named))) ?? named) : within(directory, baseName(named)));
}

/** The path by which the kernel knows the one open file of this name: a link may have been re-pointed since the guest was started. */
async function openedAs(process: Process, name: string): Promise<string | undefined> {
  const [only, ...others] = new Set((await process())?.openPaths.filter((each) => baseName(each) === name));
  return others.length === 0 ? only : undefined;
}

/** As a contradiction says it. */
export function notWhereNamed({ options }: Viewpoint, named: string): string {
  return (
    `QEMU names its image ${named}, and that leads to another file than the one that it has open, or to none: somebody has re-pointed ` +
    `${options.link === undefined ? "a link" : `the link ${options.link}`} since the guest was started. Point it where it led`
  );
}
