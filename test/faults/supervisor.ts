/** Starts a guest's QEMU again as soon as it has ended, by its own command line, as a unit of systemd's with `Restart=always` does. */

import type { Guest } from "../sandbox/guest.js";

export class Supervisor {
  #isLastTry = false;
  readonly #end: Promise<"running" | "stopped">;

  constructor(private readonly guest: Guest) {
    this.#end = this.#start();
  }

  /** The run is over: one more try, and then nobody starts it any more. */
  giveUp(): Promise<"running" | "stopped"> {
    this.#isLastTry = true;
    return this.#end;
  }

  async #start(): Promise<"running" | "stopped"> {
    for (;;) {
      const isLast = this.#isLastTry;
      const failure: unknown = await this.guest.boot().catch((reason: unknown) => reason);
      if (failure === undefined) return "running";
      if (isLast) return "stopped";
    }
  }
}
