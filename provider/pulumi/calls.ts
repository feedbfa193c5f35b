/** The engine's calls that are being worked on. Every one of them is answered: the engine itself waits for ever. */

import { BugError, messageOf, OutcomeUnknownError } from "../core/errors.js";

/** What is called, for messages, and how long it may stand still. */
export interface CallName {
  /** `update of web`. */
  name: string;
  /** The lifecycle's own limit. The watchdog comes a quarter later, so that the lifecycle's better sentence comes first. */
  stallSeconds: number;
}

/** What the work of one call gets. */
export interface OpenCall {
  /** Says that the work goes forward. */
  advance(): void;
  /** Fires when the call has been answered without its work: start no further step. */
  abandoned: AbortSignal;
}

/** Node takes what is longer for 1 ms (setTimeout()). */
const longestMs = 2 ** 31 - 1;

export class Calls {
  readonly #open = new Set<(reason: Error) => void>();
  readonly #waiting: (() => void)[] = [];

  /**
   * The result of `work`, or an error if it stands still.
   * @throws OutcomeUnknownError when nothing advanced for longer than `stallSeconds`
   * @throws BugError when something was thrown that nobody caught, see {@link abandon}
   */
  async answer<T>(call: CallName, work: (open: OpenCall) => Promise<T>): Promise<T> {
    const answered = Promise.withResolvers<never>();
    const abandoned = new AbortController();
    const fail = (reason: Error) => {
      answered.reject(reason);
      abandoned.abort(reason);
    };
    const watchdog = setTimeout(() => fail(stalled(call)), Math.min(call.stallSeconds * 1250, longestMs));
    this.#open.add(fail);
    try {
      return await Promise.race([work({ advance: () => watchdog.refresh(), abandoned: abandoned.signal }), answered.promise]);
    } finally {
      clearTimeout(watchdog);
      this.#close(fail);
    }
  }

  /** Answers all open calls with an error: `thrown` was caught by nobody, so whose work it ended cannot be known. */
  abandon(thrown: unknown): void {
    const sentence = `Unable to go on: an error was thrown that nobody caught, "${messageOf(thrown)}". Run \`pulumi up\` again; it goes on from what it finds.`;
    for (const fail of this.#open) fail(new BugError(sentence, { cause: thrown }));
  }

  /** How many are open. */
  get size(): number {
    return this.#open.size;
  }

  /** Resolves when no call is open. */
  async idle(): Promise<void> {
    if (this.#open.size > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #close(fail: (reason: Error) => void): void {
    this.#open.delete(fail);
    if (this.#open.size > 0) return;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

function stalled({ name, stallSeconds }: CallName): Error {
  return new OutcomeUnknownError(
    `Unable to finish the ${name}: nothing has moved for more than ${stallSeconds} seconds (stallSeconds). ` +
      "Look at the host, then run `pulumi up` again; it goes on from what it finds.",
  );
}
