/**
 * What leaves this process as an error. The one place that turns any thrown value into an Error.
 *
 * gRPC takes an error's integer `code`, its `details` and its `metadata` for its own: an exit status of 5 would tell the engine
 * NOT_FOUND. And a thrown value that is no Error leaves the call unanswered for ever. So every answer is a fresh Error.
 */

import { inspect } from "node:util";
import { BugError, isKind, isOurs } from "../core/errors.js";
import { plainLine, plainLines } from "./plain-text.js";

/**
 * A fresh Error that says what `thrown` says, in plain text: the words of hosts are in it.
 *
 * The SDK prints `${error}: ${error.stack}` for check, diff, read and delete (cmd/dynamic-provider, SDK 3.270): an error that the
 * user can fix is shown there as one line; an unexpected error keeps its stack, and those of its causes.
 */
export function asError(thrown: unknown): Error {
  const known = thrown instanceof Error ? thrown : new BugError(`Something was thrown that is not an error: ${inspect(thrown)}.`);
  const error = new Error(plainLine(known.message === "" ? known.name : known.message));
  error.stack = isExpected(known) ? error.message : plainLines(stacksOf(known));
  Object.defineProperty(error, "toString", { value: () => "pulumi-livedisk", enumerable: false });
  return error;
}

/** Whether the sentence alone says all that a user needs. */
export function isExpected(thrown: unknown): boolean {
  return isOurs(thrown) && !isKind(thrown, "bug");
}

function stacksOf(error: Error): string {
  const own = error.stack ?? error.message;
  return error.cause instanceof Error ? `${own}\ncaused by ${stacksOf(error.cause)}` : own;
}
