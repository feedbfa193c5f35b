/** Processes that the tests have started. None outlives the test run, not even after Ctrl-C. */

import type { ChildProcess } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";

const running = new Map<number, string>();
const endings = new Set<() => void>();
let guarded: "yes" | "no" = "no";

/** Remembers a process until it has ended. */
export function watchOver(child: ChildProcess, what: string): ChildProcess {
  const { pid } = child;
  if (pid === undefined) return child.on("error", () => undefined); // it never came to be; whoever looks sees that it has no pid
  const forget = watchOverPid(pid, what);
  return child.once("exit", forget);
}

/** The same for a process that somebody else waits for. @returns what to call once it has ended */
export function watchOverPid(pid: number, what: string): () => void {
  guard();
  running.set(pid, what);
  return () => running.delete(pid);
}

/**
 * What else goes with this process, after those that are watched over, the last one first; it may not wait.
 * @returns what to call once it is done otherwise
 */
export function atExit(end: () => void): () => void {
  guard();
  endings.add(end);
  return () => endings.delete(end);
}

/** Those that have not ended. */
export function stillRunning(): { pid: number; what: string }[] {
  return [...running].map(([pid, what]) => ({ pid, what }));
}

/** Ends a process and waits for its end; SIGKILL after 15 s of a softer signal. Does nothing to one that has ended. */
export async function mourn(child: ChildProcess | undefined, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  if (child?.pid === undefined || !running.has(child.pid)) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill(signal);
  child.kill("SIGCONT"); // a stopped process hears no SIGTERM
  const impatience = setTimeout(() => child.kill("SIGKILL"), 15_000);
  await gone;
  clearTimeout(impatience);
}

/** The last resort, for ends of this process that dispose nothing. */
function guard(): void {
  if (guarded === "yes") return;
  guarded = "yes";
  process.on("exit", () => {
    for (const pid of running.keys()) killQuietly(pid);
    for (const end of [...endings].reverse()) end();
  });
  const statusOf = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => process.exit(statusOf[signal]));
}

export function killQuietly(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended meanwhile, which is what is wanted; this process is ending too.
  }
}

export interface Process {
  pid: number;
  parent: number;
  command: string;
}

/** What that process has started, and what that has started; nearest first. */
export async function descendants(root: number): Promise<Process[]> {
  const all = (await Promise.all((await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(readProcess))).filter(
    (found) => found !== undefined,
  );
  const below = (parent: number): Process[] => all.filter((one) => one.parent === parent).flatMap((child) => [child, ...below(child.pid)]);
  return below(root);
}

async function readProcess(pid: string): Promise<Process | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  const [, command, state, parent] = /^\d+ \((.*)\) (\S) (\d+) /s.exec(stat) ?? [];
  return command === undefined || state === "Z" ? undefined : { pid: Number(pid), parent: Number(parent), command };
}
