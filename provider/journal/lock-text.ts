/** What a lock's file says. It names the holder in messages; whether the lock is held is flock's matter alone. Pure. */

import { z } from "zod";
import { parseJson } from "../core/json.js";
import { type Holder, holderSchema } from "./holder.js";

/** Runs of 0.1.0 know no flock: they refuse what is not as they write it, so the holder does not stand at the top. */
const ours = z.object({ heldBy: holderSchema, lock: z.literal("flock") });

/** As 0.1.0 writes it: its holder, and all the locks that it takes for this disk. */
const former = holderSchema.extend({ places: z.array(z.string()).default([]) });

/** A lock of 0.1.0: held as long as it beats, which is a new time on the file. */
export type FormerLock = z.output<typeof former>;

export type LockText =
  /** One of ours, also one that was cut while it was written: then nobody is named. */
  { by: "ours"; holder: Holder | undefined } | { by: "0.1.0"; holder: FormerLock } | { by: "somebody"; holder?: undefined };

export function lockText(heldBy: Holder): string {
  return `${JSON.stringify({ heldBy, lock: "flock" } satisfies z.output<typeof ours>)}\n`;
}

export function readLockText(text: string): LockText {
  const json = parseJson(text);
  const mine = ours.safeParse(json);
  if (mine.success) return { by: "ours", holder: mine.data.heldBy };
  const theirs = former.safeParse(json);
  if (theirs.success) return { by: "0.1.0", holder: theirs.data };
  return isCut(text) ? { by: "ours", holder: undefined } : { by: "somebody" };
}

/** Before the text is written, or after a host that crashed while it was: nothing, zeroes, or its beginning. */
function isCut(text: string): boolean {
  return /^\0*$/.test(text) || text.startsWith('{"heldBy":');
}
