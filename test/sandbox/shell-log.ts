/** What the provider's worker on the host is given, written down on its way: counts round trips from outside. */

import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { type MadeFolder, makeFolder } from "./folders.js";

export class ShellLog {
  private constructor(private readonly folder: MadeFolder) {}

  static async open(): Promise<ShellLog> {
    const log = new ShellLog(await makeFolder("livedisk-shell-"));
    await log.forget();
    return log;
  }

  /** For an sshd's configuration: every session's input is copied into the log. */
  get settings(): Record<string, string> {
    return { ForceCommand: `echo session >>${this.file}; tee -a ${this.file} | sh -c "$SSH_ORIGINAL_COMMAND"` };
  }

  async forget(): Promise<void> {
    await writeFile(this.file, "");
  }

  /** Sessions begun, and what the worker is asked to do on the host; what goes to monitors is counted there. */
  async count(): Promise<{ sessions: number; runs: number }> {
    const text = await readFile(this.file, "latin1");
    return {
      sessions: text.match(/^session$/gm)?.length ?? 0,
      runs: text.match(/"op":"(?!monitor-)/g)?.length ?? 0,
    };
  }

  async remove(): Promise<void> {
    await this.folder.remove();
  }

  private get file(): string {
    return path.join(this.folder.path, "log");
  }
}
