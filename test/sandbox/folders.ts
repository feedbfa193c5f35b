/** Folders of the tests, with disks of gigabytes in them. None outlives the test run, not even after Ctrl-C. */

import { existsSync, readFileSync, rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { atExit } from "./processes.js";

/** For small files: there a sync takes no time. */
export const inMemory = existsSync("/dev/shm") ? "/dev/shm" : os.tmpdir();

export interface MadeFolder {
  path: string;
  /** With all that is in it. */
  remove: () => Promise<void>;
}

export async function makeFolder(prefix: string, above = os.tmpdir()): Promise<MadeFolder> {
  const folder = await mkdtemp(path.join(above, prefix));
  const forget = atExit(() => removeQuietly(folder));
  return {
    path: folder,
    remove: async () => {
      await rm(folder, { recursive: true, force: true });
      forget();
    },
  };
}

/** What something is mounted in stays. */
function removeQuietly(folder: string): void {
  if (readFileSync("/proc/self/mounts", "utf8").includes(` ${folder.replaceAll(" ", "\\040")}/`)) return;
  try {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  } catch {
    // This process is ending: nobody could be told.
  }
}
