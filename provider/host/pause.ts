/** Waiting for a host or a connection, whose time is real. What stands above waits by its world. */

import { setTimeout as wait } from "node:timers/promises";

/** Ends after the time, or at once when `stop` fires: that only shortens the wait, and the caller looks at the signal itself. */
export async function pause(seconds: number, stop?: AbortSignal): Promise<void> {
  // it rejects for nothing but the signal
  await wait(1000 * seconds, undefined, stop && { signal: stop }).catch(() => {});
}
