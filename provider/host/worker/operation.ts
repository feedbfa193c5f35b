/** What the worker can be asked for, as data: a name, what it is given, what it answers. */

import { z } from "zod";
import { BugError } from "../../core/errors.js";

/** An operation of the program's. */
export interface Operation<A, R> {
  name: string;
  reply: z.ZodType<R>;
  /** Whether an answer that does not come leaves something unknown. */
  changes: boolean;
  /** Never set: holds the type of the arguments. */
  arguments?: A;
}

export interface RequestOptions {
  /** Cancels it. The worker's answer is awaited all the same: what was under way has ended then. */
  signal?: AbortSignal;
  /**
   * Without an answer or progress for that long it fails with `timed-out`. `0`: never.
   * @default 30
   */
  deadlineSeconds?: number;
  /** What is told on the way. */
  onEvent?: (event: unknown) => void;
  /** For operations that take input: it has been sent, and `give` gives it a piece, or, without one, the end of its input. */
  onBegun?: (give: (piece?: Buffer) => void) => void;
}

/** For changes: locks of the worker's that must still be held, or nothing is changed (`lock-lost`). */
export interface ChangeOptions extends RequestOptions {
  locks?: readonly number[];
}

/** An operation that changes nothing. */
export function reads<A, R>(name: string, reply: z.ZodType<R>): Operation<A, R> {
  return { name, reply, changes: false };
}

/** An operation that the worker does not end in the middle of. */
export function changes<A, R>(name: string, reply: z.ZodType<R>): Operation<A, R> {
  return { name, reply, changes: true };
}

export const nothing = z.object({});

/** Offsets, times in ns and inodes pass 2^53, so they come as text. */
export const bigNumber = z
  .string()
  .regex(/^-?\d+$/)
  .transform(BigInt);

/** @throws BugError if it is another answer than the operation has */
export function understood<R>({ name, reply }: { name: string; reply: z.ZodType<R> }, result: unknown): R {
  const checked = reply.safeParse(result);
  if (checked.success) return checked.data;
  throw new BugError(`The worker's answer to ${name} is none: ${z.prettifyError(checked.error)}.`);
}
