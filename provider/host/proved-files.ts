/** Removing files that must be proved to be the ones that were written down. */

import { compareFiles, type WhichFile } from "../core/disk/chain.js";
import type { Identity } from "../core/disk/identity.js";
import { unable } from "./complaints.js";
import { seeFiles } from "./file-seen.js";
import type { Host } from "./host.js";
import { removeExpected } from "./worker/changes.js";
import { isFailure, isMissing } from "./worker/worker-error.js";

/** `another`: the name leads to another file. `unproved`: nothing tells whether it is the one. `open`: a process has it open. All three stay. */
export type Removal = { end: "removed" | "absent" | "another" | "unproved" } | { end: "open"; words: string };

/** QEMU and libvirt close an image some moments after they have said so. */
const closingSeconds = 10;

/**
 * Removes the file if it is the recorded one, in one go with the comparison. Its directory is on disk when this returns.
 * @throws UserError if the host refuses it
 */
export async function removeProved(host: Host, path: string, recorded: WhichFile): Promise<Removal> {
  const { identity } = recorded;
  if (identity) return removeByIdentity(host, path, identity);
  const [there] = await seeFiles(host, [path], "keep-links");
  if (!there) return { end: "absent" };
  return { end: compareFiles(there, recorded) === "different" ? "another" : "unproved" };
}

async function removeByIdentity(host: Host, path: string, expected: Identity): Promise<Removal> {
  const worker = await host.worker();
  const deadline = host.world.clock() + closingSeconds;
  for (let pauseSeconds = 0.05; ; pauseSeconds *= 2) {
    try {
      await removeExpected(worker, { path }, { expected, hidden: "allow" });
      return { end: "removed" };
    } catch (thrown) {
      if (isMissing(thrown)) return { end: "absent" };
      if (isFailure(thrown, "other-file")) return { end: thrown.details.compared === "different" ? "another" : "unproved" };
      if (isFailure(thrown, "system")) throw unable(host, "remove", path, thrown.words);
      if (!isFailure(thrown, "open")) throw thrown;
      if (host.world.clock() > deadline) return { end: "open", words: thrown.words };
    }
    await host.world.sleep(pauseSeconds);
  }
}
