/** Finds the dynamic-provider processes that a CLI starts, so that a test can end one of them. */

import { readdirSync, readFileSync } from "node:fs";

const pollMs = 50;

/** Calls `found` once for each of them among the descendants of `ancestor`. */
export function watchProviders(ancestor: number, found: (pid: number) => void): { stop(): void } {
  const known = new Set<number>();
  const look = () => {
    const parents = parentsOfAll();
    for (const pid of parents.keys()) {
      if (known.has(pid) || !descendsFrom(pid, ancestor, parents) || !isProvider(pid)) continue;
      known.add(pid);
      found(pid);
    }
  };
  const timer = setInterval(look, pollMs);
  return { stop: () => clearInterval(timer) };
}

function parentsOfAll(): Map<number, number> {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return new Map(pids.map((pid) => [Number(pid), parentOf(pid)]));
}

/** The fourth field of /proc/<pid>/stat; the second may hold spaces, and ends with the last parenthesis. */
function parentOf(pid: string): number {
  const stat = readOrEmpty(`/proc/${pid}/stat`);
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
}

function descendsFrom(pid: number, ancestor: number, parents: ReadonlyMap<number, number>): boolean {
  for (let at: number | undefined = pid; at; at = parents.get(at)) if (at === ancestor) return true;
  return false;
}

/** The node process itself, not the shell that started it. */
function isProvider(pid: number): boolean {
  const [program = "", script = ""] = readOrEmpty(`/proc/${pid}/cmdline`).split("\0");
  return /(^|\/)node$/.test(program) && script.includes("cmd/dynamic-provider");
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return ""; // it has ended meanwhile
  }
}
