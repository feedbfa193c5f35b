/** Keeps a copy under a rate that may change at any time. */

import { setTimeout as wait } from "node:timers/promises";
import { LARGEST_STEP_BYTES } from "./extents.js";

/** A step is at most so long at the allowed rate, so that the storage does not see bursts and pauses. */
const STEP_SECONDS = 0.25;

/** A change of the rate is seen after this. */
const LONGEST_WAIT_SECONDS = 0.5;

export class Pace {
  private owedBytes = 0;
  private at = performance.now();

  /** `0` is no limit. */
  constructor(private readonly maxBytesPerSecond: () => number) {}

  stepBytes(): number {
    const rate = this.maxBytesPerSecond();
    return rate === 0 ? LARGEST_STEP_BYTES : rate * STEP_SECONDS;
  }

  /** Waits until `bytes` more are within the rate, or until `stop` fires. */
  async spend(bytes: number, stop: AbortSignal): Promise<void> {
    this.owedBytes += bytes;
    for (;;) {
      const rate = this.maxBytesPerSecond();
      const now = performance.now();
      this.owedBytes = rate === 0 ? 0 : Math.max(0, this.owedBytes - (rate * (now - this.at)) / 1000);
      this.at = now;
      if (this.owedBytes === 0 || stop.aborted) return;
      const seconds = Math.min(this.owedBytes / rate, LONGEST_WAIT_SECONDS);
      // a stop only shortens the wait; the caller looks at the signal itself
      await wait(seconds * 1000, undefined, { signal: stop }).catch(() => undefined);
    }
  }
}
