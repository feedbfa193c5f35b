/** Everything that waits for one connection. Every wait has a deadline, and the connection's break ends all of them at once. */

import { UnreachableError } from "../core/errors.js";

export interface Ways<T> {
  resolve(value: T): void;
  reject(reason: Error): void;
}

export class Waits {
  readonly #rejections = new Set<(reason: Error) => void>();
  #reason: Error | undefined;

  /** Why the connection broke, or undefined while it stands. */
  get broken(): Error | undefined {
    return this.#reason;
  }

  /**
   * Waits for what `start` begins. The deadline's timer keeps the process alive, the connection itself does not:
   * a process without a pending question may end.
   */
  wait<T>(seconds: number, late: () => Error, start: (ways: Ways<T>) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#reason) return reject(this.#reason);
      const settle = (act: () => void) => {
        clearTimeout(timer);
        this.#rejections.delete(give);
        act();
      };
      const give = (reason: Error) => settle(() => reject(reason));
      const timer = setTimeout(() => give(late()), seconds * 1000);
      this.#rejections.add(give);
      try {
        start({ resolve: (value) => settle(() => resolve(value)), reject: give });
      } catch (cause) {
        // ssh2 throws "Not connected" before it says that it has closed.
        give(this.#reason ?? new UnreachableError("The connection to the host has just ended. Run `pulumi up` again.", { cause }));
      }
    });
  }

  /** From now on nothing is waited for. */
  breakAll(reason: Error): void {
    this.#reason ??= reason;
    for (const reject of [...this.#rejections]) reject(this.#reason);
  }
}
