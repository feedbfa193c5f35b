/** Sees to it that a loop ends: waits that stand still, and steps that change nothing. */

import { BugError, UserError } from "../core/errors.js";
import type { World } from "../core/world.js";

/** What a loop shows of itself: the step that it takes, and where its disks stand. */
interface Looked {
  disks: readonly { disk: string; seen: { phase: string } }[];
}

/** The same step so often, with nothing else in between, can only be a fault. */
const mostRepeats = 20;

export class Watch {
  #last = "";
  #repeats = 0;
  #changedAt: number;

  readonly #stallSeconds: number;
  readonly #world: Pick<World, "clock">;

  constructor(stallSeconds: number, world: Pick<World, "clock">) {
    this.#stallSeconds = stallSeconds;
    this.#world = world;

    this.#changedAt = world.clock();
  }

  /** @throws UserError when nothing has moved for `stallSeconds` */
  see(step: { step: string }, seen: Looked): void {
    const now = this.#world.clock();
    const picture = JSON.stringify([step.step, seen.disks.map(({ seen }) => seen)]);
    if (picture !== this.#last) {
      this.#last = picture;
      this.#repeats = 0;
      this.#changedAt = now;
      return;
    }
    this.#repeats += 1;
    const seconds = now - this.#changedAt;
    if (step.step === "wait") {
      if (seconds > this.#stallSeconds) throw this.#stalled(seen);
    } else if (this.#repeats > mostRepeats) {
      throw new BugError(`The step "${step.step}" was taken ${this.#repeats} times and changed nothing. The guest runs on.`);
    }
  }

  #stalled(seen: Looked): UserError {
    const where = seen.disks.map(({ disk, seen }) => `${disk} is ${seen.phase}`).join(", ");
    return new UserError(
      `Nothing has moved for ${this.#stallSeconds} s (${where}). The guest runs on, and nothing is lost. ` +
        'A guest that writes faster than the destination takes it needs `copyMode: "write-blocking"` or a higher `maxBytesPerSecond`; then run `pulumi up` again.',
    );
  }
}
