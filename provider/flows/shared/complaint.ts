/** One phrase for all refusals: unable to + what, which disk, which host: why. What is left as it was. What to do. */

import { messageOf, UserError } from "../../core/errors.js";
import type { Host } from "../../host/host.js";
import type { Guest } from "../../hypervisor/hypervisor.js";
import { QmpRefusal } from "../../hypervisor/qemu/refusal.js";

export interface Complaint {
  /** `move`, `undo the move of`, … */
  verb: string;
  disk: string;
  why: string;
  /** @default "Nothing was touched." */
  left?: string;
  /** What the user can do about it. */
  advice: string;
  cause?: unknown;
}

export function complaint(
  site: { host: Pick<Host, "name">; guest: Pick<Guest, "name"> },
  { verb, disk, why, left = "Nothing was touched.", advice, cause }: Complaint,
): UserError {
  const sentence = `Unable to ${verb} ${disk} of ${site.guest.name} on ${site.host.name}: ${why}. ${left} ${advice}`;
  return new UserError(sentence, cause === undefined ? undefined : { cause });
}

/** A cause's words inside a sentence of ours: QEMU's own where it refused, else what the cause says, without its full stop. */
export function wordsOf(cause: unknown): string {
  if (cause instanceof QmpRefusal) return `QEMU answers "${cause.words}"`;
  if (cause instanceof Error && cause.cause instanceof QmpRefusal) return wordsOf(cause.cause);
  return messageOf(cause).replace(/\.$/, "");
}
