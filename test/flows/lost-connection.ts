/** A connection that is lost at one command of the guest's. */

import { UnreachableError } from "../../provider/core/errors.js";
import type { ModelGuest } from "./model-guest.js";
import type { Answers, Asked } from "./move/noting-guest.js";

/** The method does what it does, or nothing, and its answer is lost with the connection: once. */
export function lostAt(model: ModelGuest, method: keyof Asked, when: "before" | "after"): Answers {
  const known = model.answers()[method] as (...args: unknown[]) => unknown;
  let isLost = false;
  return {
    [method]: (...args: unknown[]) => {
      if (isLost) return known(...args);
      isLost = true;
      if (when === "after") known(...args);
      throw new UnreachableError("the connection was lost. Run `pulumi up` again.");
    },
  };
}
