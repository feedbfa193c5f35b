/** Why the hypervisor did not take a step, in parts of the sentence that a flow makes of it. */

import { UserError } from "../core/errors.js";

/** The guest writes where it wrote; nodes of ours may be open in it still. */
export class Unable extends UserError {
  constructor(
    /** As the part of a sentence behind a colon. */
    readonly why: string,
    /** What the user can do about it, as a sentence. */
    readonly advice: string,
    cause?: unknown,
  ) {
    super(`${why}. ${advice}`, { cause });
  }
}

/** Another switch of the guest is not over. */
export class SwitchUnderWay extends Unable {}
