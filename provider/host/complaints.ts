/** What went wrong on a host, retold: in the words of its own programs, or as the worker was refused it. */

import { isKind, messageOf, UnreachableError, UserError } from "../core/errors.js";
import type { Finished, Host } from "./host.js";
import { quote } from "./quoting.js";
import { hostErrno } from "./worker/errno.js";
import { type FailureName, isErrno, isFailure, isWorkerError, type WorkerError } from "./worker/worker-error.js";

const giveAccess = `Give the account access to it, or set \`privilege: "sudo"\`.`;
const fixThat = "Fix that, then run `pulumi up` again.";

/** The host's own words in one of our sentences. */
export function unable(host: Host, verb: string, path: string, answer: string | Finished): UserError {
  const said = typeof answer === "string" ? answer : answer.stderr || `exit status ${answer.exitStatus}`;
  const reason = said.trim().split("\n").pop() ?? "";
  const advice = /Permission denied|not permitted/.test(reason) ? giveAccess : fixThat;
  return new UserError(`Unable to ${verb} ${path} on ${host.name}: ${reason || "no reason was given"}. ${advice}`);
}

/**
 * What an operation of the worker's on a file ended with, as a sentence. An answer that did not come is an UnreachableError, also of a
 * change: the next run looks first, and does nothing twice.
 * @param what the verb and the path
 */
export function refusal(host: Host, what: string, thrown: unknown): unknown {
  if (isKind(thrown, "outcome-unknown"))
    return isKind(thrown.cause, "unreachable") ? thrown.cause : new UnreachableError(messageOf(thrown), { cause: thrown });
  if (!isWorkerError(thrown) || ours.includes(thrown.failure)) return thrown;
  const unableTo = `Unable to ${what} on ${host.name}`;
  if (thrown.failure === "timed-out") {
    const advice = "It may still be under way there: look at the host's storage and load, then run `pulumi up` again.";
    return new UnreachableError(`${unableTo}: ${thrown.words}. ${advice}`, { cause: thrown });
  }
  const where = thrown.path === null || what.endsWith(` ${thrown.path}`) ? "" : ` (${thrown.path})`;
  return new UserError(`${unableTo}: ${thrown.words}${where}. ${adviceFor(thrown)}`, { cause: thrown });
}

/** Of a path with a link that somebody else could have put there. */
export const nameItself = "Name the directory itself, or give the link to root: `chown -h root LINK`. Then run `pulumi up` again.";

const ours: readonly FailureName[] = ["bad-request", "bug", "unknown-handle"];

function adviceFor(thrown: WorkerError): string {
  if (isFailure(thrown, "foreign-link")) return nameItself;
  if (isFailure(thrown, "other-file")) return "See who else changes files there, then run `pulumi up` again.";
  if (isErrno(thrown, hostErrno.EEXIST)) return "Move what has that name away, then run `pulumi up` again.";
  return isErrno(thrown, hostErrno.EACCES) || isErrno(thrown, hostErrno.EPERM) ? giveAccess : fixThat;
}

/** A file of ours that cannot be trusted, and the line that settles it; undefined for any other failure. */
export function distrusted(host: Host, path: string, thrown: unknown): UserError | undefined {
  const found = whatIsThere(thrown, quote(path));
  if (found === undefined) return undefined;
  const text = `Unable to trust ${path} on ${host.name}: ${found.why}. It was left as it is. ${found.advice}. Then run again.`;
  return new UserError(text, { cause: thrown });
}

function whatIsThere(thrown: unknown, path: string): { why: string; advice: string } | undefined {
  const strange = (remove: "rm" | "rmdir") => `No run has put it there: remove it, \`${remove} -- ${path}\``;
  if (isErrno(thrown, hostErrno.ELOOP)) return { why: "it is a symbolic link", advice: strange("rm") };
  if (isFailure(thrown, "not-regular")) return { why: thrown.words, advice: strange(thrown.details.kind === "directory" ? "rmdir" : "rm") };
  const known = (line: string) => `If a run has written it, ${line}; else move it away`;
  if (isFailure(thrown, "foreign-owner"))
    return { why: thrown.words, advice: known(`give it to that account: \`chown ${Number(thrown.details.expected)} -- ${path}\``) };
  if (isFailure(thrown, "wrong-mode")) return { why: thrown.words, advice: known(`take that right away: \`chmod go-w -- ${path}\``) };
  return undefined;
}
