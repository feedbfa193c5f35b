/** Files of others beside the images, with names near those of a move: no run may touch them. */

import { readFile, stat, writeFile } from "node:fs/promises";
import path from "node:path";

const names = ["old.qcow2.bak", "old.qcow2.lm-notes", "lm-notes.manifest.json", "new.migrate.part", ".lm-lock"] as const;

/** Which file it is, and what it holds. */
interface Print {
  file: string;
  is: string;
}

export class ForeignFiles {
  private constructor(private readonly prints: readonly Print[]) {}

  static async put(folders: readonly string[]): Promise<ForeignFiles> {
    const files = folders.flatMap((folder) => names.map((name) => path.join(folder, name)));
    for (const file of files) await writeFile(file, `not a move's: ${file}\n`);
    return new ForeignFiles(await Promise.all(files.map(printOf)));
  }

  includes(file: string): boolean {
    return this.prints.some((print) => print.file === file);
  }

  /** Those that were removed, replaced or changed since. */
  async touched(): Promise<string[]> {
    const now = await Promise.all(this.prints.map(({ file }) => printOf(file).catch(() => ({ file, is: "gone" }))));
    return this.prints.filter(({ is }, index) => now[index]?.is !== is).map(({ file }) => file);
  }
}

async function printOf(file: string): Promise<Print> {
  const { ino, size, mode, uid, mtimeMs } = await stat(file);
  return { file, is: JSON.stringify([ino, size, mode, uid, mtimeMs, await readFile(file, "utf8")]) };
}
