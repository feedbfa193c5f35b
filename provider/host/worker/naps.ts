/** Whether this process stood still for a while, because it was stopped or its machine slept: for messages alone. */

import { uptime } from "node:os";

export interface Habit {
  /** Between two words to the worker. */
  wordSeconds: number;
  /** After so long without one the worker ends. */
  silenceSeconds: number;
}

export class Naps {
  #spokeAt: number;
  #last: { seconds: number; until: number } | undefined;
  readonly #habit: Habit;
  readonly #now: () => number;

  /** @param now goes on while the machine sleeps, as os.uptime() does (libuv's uv_uptime: CLOCK_BOOTTIME) and performance.now() does not */
  constructor(habit: Habit, now: () => number = uptime) {
    this.#habit = habit;
    this.#now = now;
    this.#spokeAt = now();
  }

  /** A word was said to the worker. */
  spoke(): void {
    const until = this.#now();
    const seconds = until - this.#spokeAt;
    if (seconds > this.#habit.silenceSeconds) this.#last = { seconds, until };
    this.#spokeAt = until;
  }

  /** How long a silence was that has just ended, or ends now, if the worker has ended in it. */
  get seconds(): number | undefined {
    const now = this.#now();
    if (now - this.#spokeAt > this.#habit.silenceSeconds) return now - this.#spokeAt;
    return this.#last && now - this.#last.until <= this.#habit.wordSeconds ? this.#last.seconds : undefined;
  }
}
