/** Keeps a copy under a rate that may change at any time. */

import { pause } from "../../core/async/pause.js";
import { type Blocks, largestStepBytes, type StepSize, unsparingBlocks } from "./extents.js";

/** A step is at most so long at the allowed rate, so that the storage does not see bursts and pauses. */
const stepSeconds = 0.1;

/** Under a limit a block is so large: a guest's write waits behind what the storage was asked for just before it. */
const sparingBlocks: Blocks = { readBytes: 512 * 1024, writeBytes: 512 * 1024 };

/** A change of the rate is seen after this. */
const longestWaitSeconds = 0.5;

export class Pace {
  #owedBytes = 0;
  #at = performance.now();

  readonly #maxBytesPerSecond: () => number;

  /** `0` is no limit. */
  constructor(maxBytesPerSecond: () => number) {
    this.#maxBytesPerSecond = maxBytesPerSecond;
  }

  stepSize(): StepSize {
    const rate = this.#maxBytesPerSecond();
    if (rate === 0) return { bytes: largestStepBytes, blocks: unsparingBlocks };
    return { bytes: rate * stepSeconds, blocks: sparingBlocks };
  }

  /** Waits until `bytes` more are within the rate, or until `stop` fires. */
  async spend(bytes: number, stop: AbortSignal): Promise<void> {
    this.#owedBytes += bytes;
    for (;;) {
      const rate = this.#maxBytesPerSecond();
      const now = performance.now();
      this.#owedBytes = rate === 0 ? 0 : Math.max(0, this.#owedBytes - (rate * (now - this.#at)) / 1000);
      this.#at = now;
      if (this.#owedBytes === 0 || stop.aborted) return;
      const seconds = Math.min(this.#owedBytes / rate, longestWaitSeconds);
      await pause(seconds, stop);
    }
  }
}
