/** What one look shows of a file. */

import type { FileIdentity } from "../../core/disk/chain.js";
import { hostErrno } from "../../host/worker/errno.js";
import { type FileStatus, fileStatus } from "../../host/worker/files.js";
import type { RequestOptions } from "../../host/worker/operation.js";
import type { Place } from "../../host/worker/place.js";
import type { Worker } from "../../host/worker/worker.js";
import { isErrno } from "../../host/worker/worker-error.js";

/** What lies under a name, links not followed. */
export interface FileSeen extends FileIdentity {
  allocatedBytes: number;
  kind: "file" | "other";
}

/** @throws WorkerError where it cannot be looked at: that is not "nothing there" */
export async function seeFile(worker: Worker, place: Place, options?: RequestOptions): Promise<FileSeen | undefined> {
  try {
    return fileSeen(await fileStatus(worker, place, options));
  } catch (thrown) {
    if (isMissing(thrown)) return undefined;
    throw thrown;
  }
}

export function isMissing(thrown: unknown): boolean {
  return isErrno(thrown, hostErrno.ENOENT) || isErrno(thrown, hostErrno.ENOTDIR);
}

export function fileSeen({ identity, sizeBytes, modifiedNs, allocatedBytes, kind }: FileStatus): FileSeen {
  const modified = modifiedText(modifiedNs);
  return { dev: identity.device, ino: identity.inode, sizeBytes, modified, allocatedBytes, kind: kind === "file" ? "file" : "other" };
}

/** As `stat -c %.9Y` prints it, which {@link FileIdentity} holds. */
function modifiedText(ns: bigint): string {
  const [sign, digits] = ns < 0n ? ["-", -ns] : ["", ns];
  return `${sign}${digits / 1_000_000_000n}.${String(digits % 1_000_000_000n).padStart(9, "0")}`;
}
