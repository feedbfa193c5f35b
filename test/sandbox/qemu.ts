/** Which QEMU the guests of the tests run on: this machine's own, or Debian trixie's. */

import path from "node:path";
import { run } from "./command.js";
import type { InstallOptions } from "./install.js";
import { inTrixie, makeTrixie, trixieFolder } from "./trixie.js";

export const qemuReleases = ["host", "trixie"] as const;
export type QemuRelease = (typeof qemuReleases)[number];

/** Handed down to the processes in which test files run. */
const variable = "LIVEDISK_TEST_QEMU";

/** From `host`, `trixie` or `host,trixie`, as `npm test -- --qemu` takes it. @throws Error in words for anything else */
export function chooseReleases(text: string): void {
  parse(text);
  process.env[variable] = text;
}

/** All that were chosen: the matrix runs on each of them. */
export function chosenReleases(): readonly QemuRelease[] {
  return parse(process.env[variable] ?? "host");
}

/** The one that was chosen. @throws Error where there are more */
export function chosenRelease(): QemuRelease {
  const [release = "host", ...more] = chosenReleases();
  if (more.length > 0)
    throw new Error("Two QEMUs were chosen, but these tests run on one: name only the matrix beside --qemu host,trixie.");
  return release;
}

/** The beginning of a command line, to be followed by QEMU's arguments. */
export function qemuCommand(release = chosenRelease()): string[] {
  return release === "host" ? ["qemu-system-x86_64"] : [...inTrixie("qemu"), "qemu-system-x86_64"];
}

/** The beginning of a command line that runs libvirt's daemons of the same release, in a mount namespace of their own. */
export function libvirtCommand(): string[] {
  return chosenRelease() === "host" ? ["unshare", "--mount", "--propagation", "private"] : inTrixie("libvirt");
}

/** Where a folder of the release's libvirt is, as seen from outside that namespace. */
export function libvirtFolder(folder: string): string {
  return chosenRelease() === "host" ? folder : path.join(trixieFolder("libvirt"), folder);
}

/** Makes what is not there yet: libvirt, too, where tests ask for it. */
export async function prepareReleases(options: InstallOptions, libvirt: "needed" | "unused"): Promise<void> {
  if (chosenReleases().includes("trixie")) await makeTrixie(libvirt === "needed" ? "libvirt" : "qemu", options);
}

/** As `7.2.22`. */
export async function qemuVersion(release: QemuRelease): Promise<string> {
  const [program = "", ...args] = qemuCommand(release);
  const said = await run(program, [...args, "--version"]);
  return /version (\S+)/.exec(said)?.[1] ?? said.trim();
}

function parse(text: string): QemuRelease[] {
  const found = qemuReleases.filter((release) => text.split(",").includes(release));
  if (found.length === 0 || found.length !== text.split(",").length)
    throw new Error(`"${text}" names no QEMU of the tests: it is "host" (this machine's), "trixie" (Debian trixie's), or "host,trixie".`);
  return found;
}
