/** After QEMU has opened a file that we made, and before anything is written to it: it must be that file, whatever its name leads to by then. */

import type { FileIdentity } from "../../core/disk/chain.js";
import { complaint } from "./complaint.js";
import type { Site } from "./site.js";

export interface OpenedFile {
  verb: string;
  disk: string;
  node: string;
  path: string;
  /** What it was when it was made. */
  made: Pick<FileIdentity, "dev" | "ino">;
  /** For a refusal: where the guest is. */
  left: string;
}

/** @throws UserError if QEMU has another file open under that name; the node is closed again */
export async function checkOpenedFile(site: Site, { node, path, made, ...refusal }: OpenedFile): Promise<void> {
  const process = await site.guest.process();
  if (!process || process.openFiles.has(`${made.dev}:${made.ino}`)) return; // where the host hides the process, nothing tells
  await site.guest.closeNodes([node]);
  await site.guest.jobs(); // a QEMU that has ended meanwhile has nothing open: then that is what is told
  const why = `QEMU opened another file as ${path} than the one that was made there`;
  throw complaint(site, { ...refusal, why, advice: "See who else changes files there, then run again." });
}
