/** One phrase for all refusals: unable to + what, which disk, which host: why. What is left as it was. What to do. */

import { isKind, messageOf, UserError } from "../../core/errors.js";
import type { Host } from "../../host/host.js";
import { DomainMissing, type Guest, GuestNotRunning } from "../../hypervisor/hypervisor.js";
import { HypervisorRefusal } from "../../hypervisor/refusal.js";
import { Unable } from "../../hypervisor/unable.js";

export interface Complaint {
  /** `move`, `undo the move of`, … */
  verb: string;
  disk: string;
  why: string;
  /** @default "Nothing was touched." */
  left?: string;
  /** Whether `left` or `why` says where the disk is. */
  tellsCurrent?: boolean;
  /** What the user can do about it. */
  advice: string;
  cause?: unknown;
}

export function complaint(
  site: { host: Pick<Host, "name">; guest: Pick<Guest, "name"> },
  { verb, disk, why, left = "Nothing was touched.", advice, ...more }: Complaint,
): UserError {
  return new UserError(`Unable to ${verb} ${disk} of ${site.guest.name} on ${site.host.name}: ${why}. ${left} ${advice}`, more);
}

/** A step of the hypervisor's: what it refuses becomes a sentence; whatever else ends it stays as it is. */
export async function inWords<T>(
  site: Parameters<typeof complaint>[0],
  told: Pick<Complaint, "verb" | "disk" | "left" | "tellsCurrent">,
  step: () => Promise<T>,
): Promise<T> {
  return orRefusal(step, (why, advice, cause) => complaint(site, { ...told, why, advice, cause }));
}

/** The same with a sentence of the flow's own. */
export async function orRefusal<T>(step: () => Promise<T>, refusal: (why: string, advice: string, cause: unknown) => Error): Promise<T> {
  try {
    return await step();
  } catch (cause) {
    if (!isKind(cause, "user") || cause instanceof GuestNotRunning || cause instanceof DomainMissing) throw cause;
    throw refusal(wordsOf(cause), adviceOf(cause) ?? "Fix the reported problem, then run `pulumi up` again.", cause);
  }
}

/** What a refusal itself says that the user can do. */
export function adviceOf(cause: unknown): string | undefined {
  return cause instanceof Unable ? cause.advice : undefined;
}

/** A cause's words inside a sentence of ours: QEMU's own where it refused, else what the cause says, without its full stop. */
export function wordsOf(cause: unknown): string {
  if (cause instanceof Unable) return cause.why;
  if (cause instanceof HypervisorRefusal) return `${cause.by} answers "${cause.words}"`;
  if (cause instanceof Error && cause.cause instanceof HypervisorRefusal) return wordsOf(cause.cause);
  return messageOf(cause).replace(/\.$/, "");
}
