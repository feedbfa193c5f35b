/** Files outside the directories of a move: whatever somebody swaps there, nothing of these may change. */

import { chmod, lstat, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";

/** Root's, with a mode that tells whether it was changed. */
export async function makeOutside(folder: string): Promise<void> {
  await mkdir(path.join(folder, "directory"), { recursive: true });
  for (const [name, mode] of Object.entries({
    file: 0o604,
    private: 0o600,
    "directory/old.qcow2": 0o604,
    "directory/common.qcow2": 0o604,
  })) {
    await writeFile(path.join(folder, name), `somebody's ${name}\n`);
    await chmod(path.join(folder, name), mode);
  }
  for (const name of ["", "directory"]) await chmod(path.join(folder, name), 0o705);
}

/** A line for each name below it: what it is, whose, and what it holds. */
export async function describeOutside(folder: string): Promise<string[]> {
  const names = ["", ...(await readdir(folder, { recursive: true }))].sort();
  return Promise.all(
    names.map(async (name) => {
      const found = path.join(folder, name);
      const { mode, uid, gid, nlink } = await lstat(found);
      const content = name === "" || name === "directory" ? "" : await readFile(found, "utf8").catch(String);
      return `${name} ${mode.toString(8)} ${uid}:${gid} ${nlink} ${JSON.stringify(content)}`;
    }),
  );
}
