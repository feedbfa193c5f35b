/** What can go wrong at a layer's place, in words. */

import { isKind, messageOf, UnreachableError, UserError } from "../../core/errors.js";
import { hostErrno } from "../../host/worker/errno.js";
import { isErrno, isFailure, WorkerError } from "../../host/worker/worker-error.js";

/** Something was refused; `words` is what is told of it. */
export class StepFailed extends Error {
  constructor(
    readonly words: string,
    options?: { cause?: unknown },
  ) {
    super(words, options);
    this.name = "StepFailed";
  }
}

/** A refusal of the host's, not a fault of ours. */
export function isRefusal(thrown: unknown): thrown is StepFailed | WorkerError {
  if (thrown instanceof WorkerError) return !(["bug", "bad-request", "unknown-handle"] as string[]).includes(thrown.failure);
  return thrown instanceof StepFailed;
}

/** What was refused, and of which file. */
export function wordsOf(refusal: StepFailed | WorkerError): string {
  const path = refusal instanceof WorkerError ? refusal.path : null;
  return path === null ? refusal.words : `${refusal.words} (${path})`;
}

/** For what may be left undone. */
export function ifRefused(thrown: unknown): undefined {
  if (!isRefusal(thrown)) throw thrown;
}

/** For what failed under a layer's lock; `sentence` makes the user's sentence of the words. */
export function complaintOf(thrown: unknown, sentence: (words: string) => string): unknown {
  if (isRefusal(thrown)) return new UserError(sentence(wordsOf(thrown)), { cause: thrown });
  // what it came to is seen by the next run, which looks first: nothing here is done twice
  if (isKind(thrown, "outcome-unknown"))
    return isKind(thrown.cause, "unreachable") ? thrown.cause : new UnreachableError(messageOf(thrown), { cause: thrown });
  return thrown;
}

/** Its file system may tell of room that a thin volume below it does not have. */
export function adviceOn(thrown: unknown): string {
  const isFull = isRefusal(thrown) && isErrno(thrown, hostErrno.ENOSPC);
  return isFull ? "Make room there, also in what lies below its file system, then run `pulumi up` again." : "Run `pulumi up` again.";
}

const regularOnly = "it is not a regular file; move it away";

/** Why a sidecar cannot be locked, and what to do about it. */
export function whyNotLocked(refusal: StepFailed | WorkerError): string {
  if (isFailure(refusal, "not-regular") || isErrno(refusal, hostErrno.ELOOP) || isErrno(refusal, hostErrno.EISDIR)) return regularOnly;
  if (isErrno(refusal, hostErrno.EROFS)) return "it cannot be opened (Read-only file system); mend that";
  if (isFailure(refusal, "foreign-owner")) return `${wordsOf(refusal)}; give it to that account with chown, or move it away`;
  if (isFailure(refusal, "wrong-mode")) return `${wordsOf(refusal)}; take that right away with chmod, or move it away`;
  return wordsOf(refusal);
}
