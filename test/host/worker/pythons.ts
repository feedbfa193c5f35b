/** The pythons of this machine. */

import { execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import os from "node:os";
import path from "node:path";

export interface Python {
  program: string;
  /** `3.6` as 306. */
  version: number;
}

const root = path.resolve(__dirname, "../../../..");

export const sources = path.join(root, "provider/host");
export const pythonTests = path.join(root, "test/host/worker/python");

/** The host's own, first, and all others that can be found, 3.6 and later, the oldest first. */
export function pythons(): { own: Python; others: Python[] } {
  const named = (process.env.PATH ?? "").split(":").flatMap((folder) => matching(folder, /^python3\.\d+$/));
  const folder = path.join(process.env.PYENV_ROOT ?? path.join(os.homedir(), ".pyenv"), "versions");
  const kept = matching(folder, /^3\./).map((version) => path.join(version, "bin/python3"));
  const found = new Map([...named, ...kept].filter((program) => existsSync(program)).flatMap(versionOf));
  const [own] = versionOf("/usr/bin/python3");
  if (own === undefined) throw new Error("Unable to test the worker: there is no /usr/bin/python3. Install the package python3.");
  const others = [...found]
    .map(([version, program]) => ({ version, program }))
    .filter(({ version }) => version >= 306 && version !== own[0]);
  return { own: { version: own[0], program: own[1] }, others: others.sort((a, b) => a.version - b.version) };
}

/** The oldest of all, to show that what the worker uses is there. */
export function oldestPython(): Python {
  const { own, others } = pythons();
  return [own, ...others].reduce((oldest, one) => (one.version < oldest.version ? one : oldest));
}

export function nameOf({ version }: Python): string {
  return `python ${Math.floor(version / 100)}.${version % 100}`;
}

function matching(folder: string, name: RegExp): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((entry) => name.test(entry))
    .map((entry) => path.join(folder, entry));
}

/** Nothing for what does not run: a shim of a version that is not chosen. */
function versionOf(program: string): [number, string][] {
  try {
    const script = "import sys; print(sys.version_info[0] * 100 + sys.version_info[1])";
    return [
      [Number(execFileSync(program, ["-I", "-S", "-c", script], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })), program],
    ];
  } catch {
    return [];
  }
}
