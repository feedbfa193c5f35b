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

/** How long an engine that was not told has for its next call, on a busy machine; one that ends says so by another signal. */
const nextCallMs = 10_000;

/**
 * Fires when no further step may start. Once the open calls are answered the process ends, as it would have without us;
 * it sets itself no limit, since a user in a hurry sends SIGKILL.
 */
export function watchForTheEnd(calls: Calls): AbortSignal {
  const stop = new AbortController();
  const again = new AbortController();
  const told = (signal: "SIGINT" | "SIGTERM") => {
    if (stop.signal.aborted) return again.abort();
    stop.abort(new Error(`${signal} came, or standard input ended.`));
    endBy(signal, calls, again.signal);
  };
  const engineIsGone = () => {
    told("SIGTERM");
    again.abort();
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => told(signal));
  if (isPipe(process.stdin.fd)) {
    process.stdin.on("end", engineIsGone);
    process.stdin.on("error", engineIsGone);
    process.stdin.resume();
    if ("unref" in process.stdin) process.stdin.unref();
  }
  return stop.signal;
}

/** Where a call was open, the engine may not have been told, and goes on with its next one: that is answered, too. */
async function endBy(signal: "SIGINT" | "SIGTERM", calls: Calls, again: AbortSignal): Promise<void> {
  while (calls.size > 0) {
    await calls.idle();
    await setTimeout(lastWordsMs);
    if (calls.size === 0) await setTimeout(nextCallMs, undefined, { signal: again }).catch(() => undefined);
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
