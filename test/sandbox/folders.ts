/** Folders of the tests, with disks of gigabytes in them. None outlives the test run, not even after Ctrl-C. */

import { readFileSync, rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { endAllAtExit } from "./processes.js";

const made = new Set<string>();
let guarded: "yes" | "no" = "no";

export async function makeFolder(prefix: string): Promise<string> {
  guard();
  const folder = await mkdtemp(path.join(os.tmpdir(), prefix));
  made.add(folder);
  return folder;
}

export async function removeFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  made.delete(folder);
}

function guard(): void {
  if (guarded === "yes") return;
  guarded = "yes";
  endAllAtExit(); // first: who still runs makes files
  process.on("exit", removeQuietly);
}

/** The last resort, for ends of this process that dispose nothing. What something is mounted in stays. */
function removeQuietly(): void {
  const mounts = readFileSync("/proc/self/mounts", "utf8");
  for (const folder of made) {
    if (mounts.includes(` ${folder.replaceAll(" ", "\\040")}/`)) continue;
    try {
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    } catch {
      // This process is ending: nobody could be told.
    }
  }
}
