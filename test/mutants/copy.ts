/** The build with one file of it changed, shown to test processes in place of the real one, which is never touched. */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { compiled, root } from "./compiler.js";
import type { Mutant } from "./edit.js";

/** A folder for the run's copies of dist/. A later build changes none of them. */
export class Copies {
  readonly folder = mkdtempSync(path.join(os.tmpdir(), "livedisk-mutants-"));
  /** As it was built. */
  readonly unchanged = path.join(this.folder, "unchanged");
  #made = 0;

  constructor() {
    execFileSync("cp", ["-a", path.join(root, "dist"), this.unchanged]);
  }

  /** By hard links, but for the one file. */
  of(mutant: Mutant): string {
    this.#made++;
    const copy = path.join(this.folder, String(this.#made));
    execFileSync("cp", ["-al", this.unchanged, copy]);
    const file = path.join(copy, mutant.file.replace(/\.ts$/, ".js"));
    rmSync(file);
    writeFileSync(file, compiled(mutant));
    return copy;
  }

  remove(copy: string): void {
    rmSync(copy, { recursive: true, force: true });
  }
}

/**
 * Starts a program of the tests that finds `copy` where dist/ is, and whatever it starts does: in a mount namespace, whose end is the mount's.
 * The tests are at their usual path, so that programs and packages which look for the provider there find this one. It leads a process group.
 */
export function startOn(copy: string, program: string, args: readonly string[]): ChildProcess {
  const inside = 'mount --bind -- "$1" "$2" && shift 2 && exec "$@"';
  const node = [process.execPath, path.join(root, "dist", program), ...args];
  const unshare = ["--mount", "--propagation", "private", "sh", "-c", inside, "sh", copy, path.join(root, "dist"), ...node];
  return spawn("unshare", unshare, { cwd: root, detached: true, stdio: ["ignore", "ignore", "ignore", "ipc"] });
}

/** With all that is in its group: first so that tests remove what they have made, after 15 s for good. */
export async function endGroup(child: ChildProcess): Promise<void> {
  const signal = (name: NodeJS.Signals) => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, name);
    } catch {
      // nobody of the group is left
    }
  };
  const isOver = child.exitCode !== null || child.signalCode !== null;
  const ended = isOver ? Promise.resolve() : new Promise<void>((resolve) => void child.once("exit", () => resolve()));
  signal("SIGTERM");
  const impatience = setTimeout(() => signal("SIGKILL"), 15_000);
  await ended;
  clearTimeout(impatience);
  signal("SIGKILL");
}
