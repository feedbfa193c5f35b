/** Processes that the tests have started. None outlives the test run, not even after Ctrl-C. */

import type { ChildProcess } from "node:child_process";

const running = new Map<ChildProcess, string>();
let guarded: "yes" | "no" = "no";

/** Remembers a process until it has ended. */
export function watchOver(child: ChildProcess, what: string): ChildProcess {
  guard();
  running.set(child, what);
  child.once("exit", () => running.delete(child));
  child.once("error", () => running.delete(child)); // it never came to be
  return child;
}

/** Those that have not ended: pid and what it is. */
export function stillRunning(): { pid: number; what: string }[] {
  return [...running].flatMap(([child, what]) => (child.pid === undefined ? [] : { pid: child.pid, what }));
}

/** Ends a process and waits for its end; SIGKILL after 15 s of a softer signal. Does nothing to one that has ended. */
export async function mourn(child: ChildProcess | undefined, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  if (child === undefined || !running.has(child)) return;
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
    for (const child of running.keys()) child.kill("SIGKILL");
  });
  for (const [signal, status] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const) {
    process.once(signal, () => process.exit(status));
  }
}
