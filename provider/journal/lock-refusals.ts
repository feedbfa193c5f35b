/** Why a lock cannot be had, in words. */

import { directoryOf } from "../core/disk/paths.js";
import { UserError } from "../core/errors.js";
import type { World } from "../core/world.js";
import { nameItself } from "../host/complaints.js";
import { quote } from "../host/quoting.js";
import { hostErrno } from "../host/worker/errno.js";
import type { WorkerError } from "../host/worker/worker-error.js";
import { type Holder, holderIs } from "./holder.js";

/** A lock on a host, for messages. */
export interface LockAt {
  path: string;
  hostName: string;
}

/** Another run holds it. */
export function heldElsewhere({ path, hostName }: LockAt, holder: Holder | undefined, world: World): UserError {
  const end = "Nothing was touched. Let it end, then run `pulumi up` again.";
  const unable = `Unable to move a disk on ${hostName}: another run holds the lock`;
  if (holder === undefined)
    return new UserError(`${unable} ${path}, which does not say who. ${end} \`fuser -v ${quote(path)}\` there shows it.`);
  const { name, pid, run } = holder;
  const gone = holderIs(world, holder) === "gone" ? ` It has ended, but a program that it began on ${hostName} goes on.` : "";
  return new UserError(`${unable} (${run}, process ${pid} on ${name}; its lock is ${path}). ${end}${gone}`);
}

/** Its file is somebody else's: no run of ours or of 0.1.0 wrote it. */
export function notOurs({ path, hostName }: LockAt): UserError {
  return new UserError(`Unable to read the lock ${path} on ${hostName}: it is not as we write it. If no run is under way, remove it.`);
}

/** What was found in the lock's place is no lock, or no file can be made there. */
export function notLocked({ path, hostName }: LockAt, cause: WorkerError): UserError {
  const unable = `Unable to lock ${directoryOf(path)} on ${hostName}:`;
  if (cause.failure === "held")
    return new UserError(`${unable} ${cause.words}. Nothing was touched. Let it end, then run \`pulumi up\` again.`);
  if (cause.failure === "foreign-link") return new UserError(`${unable} ${cause.words}. Nothing was touched. ${nameItself}`, { cause });
  const strange = whatIsThere(cause);
  const text =
    strange === undefined
      ? `${unable} ${cause.words}. Nothing was touched. This account must be able to create files there.`
      : `${unable} ${path} ${strange}. Nothing was touched. If no run is under way, remove it: \`rm -- ${quote(path)}\`.`;
  return new UserError(text, { cause });
}

function whatIsThere(cause: WorkerError): string | undefined {
  const errno = cause.failure === "system" ? cause.errno : null;
  if (errno === hostErrno.ELOOP) return "is a symbolic link";
  if (cause.failure === "not-regular" || errno === hostErrno.EISDIR || errno === hostErrno.ENXIO) return "is not a regular file";
  if (cause.failure === "foreign-owner") return `belongs to another account (${cause.details.owner}) than a file that is made there`;
  if (cause.failure === "wrong-mode") return `may be opened by other accounts (mode ${Number(cause.details.mode).toString(8)})`;
  return undefined;
}

/** There was no room for it when this run began, whose lock lies elsewhere. */
export function takenSince({ path, hostName }: LockAt): UserError {
  return new UserError(
    `Unable to go on with a move on ${hostName}: another run has begun, and holds ${path}, for which there was no room when this one began. ` +
      "Nothing more was done. Let it end, then run `pulumi up` again.",
  );
}

/** The file is no longer under its name. */
export function lost(paths: readonly string[], hostName: string): UserError {
  return new UserError(
    `Unable to go on with a move on ${hostName}: somebody removed ${paths.join(", ")}, the lock of this run, and another run may have begun there. ` +
      "Nothing more was done. See that no other run is under way, then run `pulumi up` again.",
  );
}
