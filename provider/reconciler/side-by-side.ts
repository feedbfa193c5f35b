/**
 * How many moves of one host run side by side: copies and mirrors share its storage, and each is slower for every other one.
 * Each provider process has a queue of its own for a host: the stack's, and one for each explicit Provider.
 */

import { pause } from "../core/async/pause.js";
import type { Run } from "../core/lifecycle.js";

/** Where `livedisk:movesPerHost` is not set: one copies while another one switches. */
export const defaultMovesPerHost = 2;

/** How often whoever waits says that it still does. */
const tellSeconds = 1;

interface Line {
  running: Set<object>;
  waiting: object[];
  changed: PromiseWithResolvers<void>;
}

const lines = new Map<string, Line>();

/** One move's place in the line of its host; all moves of this process stand in it. */
export class Place {
  readonly #token = {};
  readonly #line: Line;

  readonly #host: { machine: string; name: string };
  readonly #movesAtOnce: number;

  /** @param host `machine` tells hosts apart (host/machine.ts), `name` is for messages */
  constructor(host: { machine: string; name: string }, movesAtOnce = defaultMovesPerHost) {
    this.#host = host;
    this.#movesAtOnce = movesAtOnce;

    this.#line = lines.get(host.machine) ?? { running: new Set(), waiting: [], changed: Promise.withResolvers() };
    lines.set(host.machine, this.#line);
  }

  /**
   * Waits until fewer than the allowed number of moves run on the host, first come first served.
   * @returns `at once` also for a move that has its turn; `stopped` if the run was asked to stop before
   */
  async take(what: string, run: Pick<Run, "progress" | "stop">): Promise<"at once" | "waited" | "stopped"> {
    const { running, waiting } = this.#line;
    if (running.has(this.#token)) return "at once";
    waiting.push(this.#token);
    const began = performance.now();
    let waited: "at once" | "waited" = "at once";
    try {
      for (; waiting[0] !== this.#token || running.size >= this.#movesAtOnce; waited = "waited") {
        if (run.stop.aborted) return "stopped";
        run.progress(`${what} ${this.#waits(Math.floor((performance.now() - began) / 1000))}`);
        await Promise.race([pause(tellSeconds, run.stop), this.#line.changed.promise]);
      }
      running.add(this.#token);
      return waited;
    } finally {
      waiting.splice(waiting.indexOf(this.#token), 1);
      this.#tellOthers();
    }
  }

  /** Lets the next one go. */
  leave(): void {
    if (this.#line.running.delete(this.#token)) this.#tellOthers();
  }

  #tellOthers(): void {
    const { changed } = this.#line;
    this.#line.changed = Promise.withResolvers();
    changed.resolve();
  }

  /** With the time, so that no watchdog takes a long wait for a standstill. */
  #waits(seconds: number): string {
    const before = this.#line.waiting.indexOf(this.#token);
    const others = before > 0 ? `, ${before} wait before it` : "";
    return `waits for its turn, ${seconds} s: ${this.#line.running.size} at work on ${this.#host.name}${others} (livedisk:movesPerHost ${this.#movesAtOnce})`;
  }
}
