/** The host's state directory: lock and manifest of a disk lie there where the disk's own directory has no room for them (decisions/0012). */

import { isKind, UserError } from "../core/errors.js";
import { type FileSeen, seeFiles } from "../host/file-seen.js";
import type { Host } from "../host/host.js";
import { makeDirectory, openPrivateDirectory } from "../host/worker/directories.js";
import { hostErrno } from "../host/worker/errno.js";
import type { Worker } from "../host/worker/worker.js";
import { isErrno, isWorkerError } from "../host/worker/worker-error.js";

const { EEXIST } = hostErrno;

export interface StateDirectory {
  worker: Worker;
  path: string;
}

/**
 * Makes it if it is not there, and checks that it is the account's own and nobody else's to use: for writing in it.
 * @param full the directory that has no room
 * @throws UserError with the line that makes it
 */
export async function makeStateDirectory({ worker, path }: StateDirectory, full: string): Promise<void> {
  try {
    await makeDirectory(worker, { path }).catch((thrown) => (isErrno(thrown, EEXIST) ? undefined : Promise.reject(thrown)));
    await (await openPrivateDirectory(worker, path)).close();
  } catch (cause) {
    if (!isWorkerError(cause)) throw cause;
    throw new UserError(
      `Unable to begin a move in ${full} on ${worker.hostName}: it has no room for a lock or a manifest, and ${path}, where they would lie, cannot be used: ${cause.words}. ` +
        `Nothing was touched. Free some space in ${full}, or create ${path} there once, for the account that this runs as: \`install -d -m 0700 -o <account> ${path}\`.`,
      { cause },
    );
  }
}

/**
 * For reading: the directory if it is there and the account's own, else none. Another account's could not be read anyway.
 * @throws UserError if it is the account's own and others may use it: what lies in it is not trusted, and not taken for nothing
 */
export async function stateDirectoriesOf(host: Host): Promise<string[]> {
  const { stateDirectory: path, name } = host;
  const found = await seen(host);
  if (found?.kind !== "directory" || found.owner !== (await host.worker()).hello.uid) return [];
  if ((found.mode & 0o077) === 0) return [path];
  throw new UserError(
    `Unable to read the state directory ${path} on ${name}: others may use it, its mode is ${found.mode.toString(8)}. Nothing was touched. ` +
      `See that nothing in it is somebody else's, then \`chmod 0700 ${path}\` there and run again.`,
  );
}

async function seen(host: Host): Promise<FileSeen | undefined> {
  try {
    return (await seeFiles(host, [host.stateDirectory], "follow"))[0];
  } catch (cause) {
    if (!isKind(cause, "user")) throw cause;
    return undefined; // it lies where this account may not look
  }
}
