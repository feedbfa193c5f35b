/** Locks that others hold by flock(1), as the scripts of 0.1.0 do. */

import type { Host } from "./host.js";

/**
 * Whether each is free within so many seconds; a file that is not there is.
 *
 * @host flock
 * @for locks
 * @does waits until a switch of a run of 0.1.0 has ended, at most a minute for each lock
 * @changes nothing
 * @as the account
 * @why until a cut switch has ended nothing that is seen lasts
 */
export async function areFree(host: Host, locks: readonly string[], secondsEach: number): Promise<boolean> {
  const script = 'seconds=$1; shift; for lock do [ ! -e "$lock" ] || flock -w "$seconds" -- "$lock" true || exit; done';
  const { exitStatus } = await host.run(script, [String(secondsEach), ...locks], { timeoutSeconds: secondsEach * locks.length + 30 });
  return exitStatus === 0;
}
