/** What an operation of the worker can fail with. */

import { z } from "zod";
import { hostErrno } from "./errno.js";

/**
 * What a caller may act on. `system`: a refusal of the system's, told by its errno. `bug`: a fault of the program's own.
 * The message is for people, and is never parsed.
 */
export const failureNames = [
  "bad-request",
  "bug",
  "busy",
  "cancelled",
  "changed",
  "foreign-link",
  "foreign-owner",
  "held",
  "lock-lost",
  "monitor-closed",
  "no-monitor",
  "no-program",
  "not-empty",
  "not-link",
  "not-regular",
  "open",
  "other-file",
  "qmp",
  "system",
  "timed-out",
  "too-large",
  "unknown-handle",
  "wrong-mode",
] as const;

export type FailureName = (typeof failureNames)[number];

export const failureReply = z.object({
  name: z.enum(failureNames),
  errno: z.int().nullable(),
  path: z.string().nullable(),
  message: z.string(),
  details: z.record(z.string(), z.unknown()),
});

export type WorkerFailure = z.output<typeof failureReply>;

/** Not yet a sentence for the user: who asked for the operation knows to which guest and disk it belongs. */
export class WorkerError extends Error {
  override readonly name = "WorkerError";
  readonly failure: FailureName;
  /** What went wrong, in words for people: without the operation and the path. */
  readonly words: string;
  /** The system's number, where it refused. */
  readonly errno: number | null;
  readonly path: string | null;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(operation: string, { name, errno, path, message, details }: WorkerFailure) {
    super(`${operation}: ${message}${path === null ? "" : ` (${path})`}`);
    this.failure = name;
    this.words = message;
    this.errno = errno;
    this.path = path;
    this.details = details;
  }
}

export function isWorkerError(thrown: unknown): thrown is WorkerError {
  return thrown instanceof Error && thrown.name === "WorkerError" && "failure" in thrown;
}

/** Whether `thrown` is such a failure, for a caller that has something to do about it. */
export function isFailure(thrown: unknown, name: FailureName): thrown is WorkerError {
  return isWorkerError(thrown) && thrown.failure === name;
}

/** Whether the system refused with this number, one of {@link hostErrno}. */
export function isErrno(thrown: unknown, errno: number): thrown is WorkerError {
  return isFailure(thrown, "system") && thrown.errno === errno;
}

/** Whether a name stands for nothing. */
export function isMissing(thrown: unknown): boolean {
  return isErrno(thrown, hostErrno.ENOENT) || isErrno(thrown, hostErrno.ENOTDIR);
}
