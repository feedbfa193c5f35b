/** Keys of a resource that are between the engine and us, such as `__provider` (the text that loads us) and `__urn`. Lifecycles never see them. */

import type { Properties } from "../core/lifecycle.js";

const prefix = "__";

/** Only the hidden keys of `bag`. */
export function hiddenOf(bag: Properties): Properties {
  return Object.fromEntries(Object.entries(bag).filter(([key]) => key.startsWith(prefix)));
}

/** `bag` without its hidden keys: what a lifecycle works with. */
export function visibleOf(bag: Properties): Properties {
  return Object.fromEntries(Object.entries(bag).filter(([key]) => !key.startsWith(prefix)));
}

/** The resource's own URN, which dynamic providers are not told; empty where the program did not send it. */
export function urnOf(bag: Properties): string {
  return typeof bag.__urn === "string" ? bag.__urn : "";
}
