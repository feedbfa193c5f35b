/** Which QEMU the guests of the tests run on: this machine's own, or Debian trixie's. */

import { run } from "./command.js";
import type { InstallOptions } from "./install.js";
import { inTrixie, makeTrixie } from "./trixie.js";

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

/** Makes what is not there yet. */
export async function prepareReleases(options: InstallOptions): Promise<void> {
  if (chosenReleases().includes("trixie")) await makeTrixie("qemu", options);
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
