/**
 * How many moves of one host run side by side: copies and mirrors share its storage, and each is slower for every other one.
 * Each provider process has a queue of its own for a host: the stack's, and one for each explicit Provider.
 */

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

/** The lines of a world's hosts. */
export class MoveSlots {
  readonly #lines = new Map<string, Line>();

  /**
   * A slot for one move, in the line of its host.
   * @param host `machine` tells hosts apart (host/machine.ts), `name` is for messages
   */
  slot({ machine, name }: { machine: string; name: string }, movesAtOnce = defaultMovesPerHost): MoveSlot {
    const line = this.#lines.get(machine) ?? { running: new Set(), waiting: [], changed: Promise.withResolvers() };
    this.#lines.set(machine, line);
    return new MoveSlot(line, name, movesAtOnce);
  }
}

/** One move's slot; it has it from {@link take} to {@link leave}. */
export class MoveSlot {
  readonly #token = {};
  readonly #line: Line;

  readonly #hostName: string;
  readonly #movesAtOnce: number;

  constructor(line: Line, hostName: string, movesAtOnce: number) {
    this.#line = line;
    this.#hostName = hostName;
    this.#movesAtOnce = movesAtOnce;
  }

  /**
   * Waits until fewer than the allowed number of moves run on the host, first come first served.
   * @returns `at once` also for a move that has its turn; `stopped` if the run was asked to stop before
   */
  async take(what: string, run: Pick<Run, "progress" | "stop" | "world">): Promise<"at once" | "waited" | "stopped"> {
    const { running, waiting } = this.#line;
    if (running.has(this.#token)) return "at once";
    waiting.push(this.#token);
    const began = run.world.clock();
    let waited: "at once" | "waited" = "at once";
    try {
      for (; waiting[0] !== this.#token || running.size >= this.#movesAtOnce; waited = "waited") {
        if (run.stop.aborted) return "stopped";
        run.progress(`${what} ${this.#waits(Math.floor(run.world.clock() - began))}`);
        await Promise.race([run.world.sleep(tellSeconds, run.stop), this.#line.changed.promise]);
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
    return `waits for its turn, ${seconds} s: ${this.#line.running.size} at work on ${this.#hostName}${others} (livedisk:movesPerHost ${this.#movesAtOnce})`;
  }
}
