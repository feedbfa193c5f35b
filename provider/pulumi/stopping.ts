/**
 * When to stop. A dynamic provider is not told of the first Ctrl-C; what it can see is that
 * - standard input ends: the engine holds it as a pipe, so the engine is gone, also if it was killed,
 * - SIGINT or SIGTERM comes: at its end the engine sends SIGINT and, five seconds later, SIGKILL.
 */

import { fstatSync } from "node:fs";
import { constants } from "node:os";
import { setTimeout } from "node:timers/promises";
import type { Calls } from "./calls.js";

/** How long an answer may take to be written before the process ends; the SDK does not say when it is. */
const lastWordsMs = 200;

/**
 * Fires when no further step may start. Once the open calls are answered the process ends, as it would have without us;
 * it sets itself no limit, since a user in a hurry sends SIGKILL.
 */
export function watchForTheEnd(calls: Calls): AbortSignal {
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => stop.signal.aborted || endBy(signal, stop, calls));
  }
  if (isPipe(process.stdin.fd)) {
    process.stdin.on("end", () => stop.signal.aborted || endBy("SIGTERM", stop, calls));
    process.stdin.on("error", () => stop.signal.aborted || endBy("SIGTERM", stop, calls));
    process.stdin.resume();
    if ("unref" in process.stdin) process.stdin.unref();
  }
  return stop.signal;
}

async function endBy(signal: "SIGINT" | "SIGTERM", stop: AbortController, calls: Calls): Promise<void> {
  stop.abort(new Error(`${signal} came, or standard input ended.`));
  // an engine that was not told goes on with the next call meanwhile: it is answered, too
  while (calls.size > 0) {
    await calls.idle();
    await setTimeout(lastWordsMs);
  }
  process.exit(128 + constants.signals[signal]);
}

/** A terminal, a file or /dev/null says nothing about the engine. */
function isPipe(fd: number): boolean {
  try {
    const stats = fstatSync(fd);
    return stats.isFIFO() || stats.isSocket();
  } catch {
    return false; // standard input is closed
  }
}
