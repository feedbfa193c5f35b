/** How manifests write down which file one is. */

import { z } from "zod";
import { identity } from "../core/disk/identity.js";

/** 0.1.0 wrote no `identity`. */
export const which = { dev: z.string(), ino: z.string(), identity: identity.optional() };

/** {@link which}, and what it held. */
export const fileIdentity = z.strictObject({
  ...{ dev: which.dev, ino: which.ino, sizeBytes: z.int(), modified: z.string() },
  identity: which.identity,
});
