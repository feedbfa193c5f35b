/** What lies under names of the host, with what says which files these are. */

import type { FileIdentity } from "../core/disk/chain.js";
import type { Identity } from "../core/disk/identity.js";
import { refusal, unable } from "./complaints.js";
import type { Host } from "./host.js";
import { askedOnce } from "./remembering.js";
import type { FileKind } from "./worker/directories.js";
import { type FileStatus, fileIdentity, fileStatus } from "./worker/files.js";
import { lookAtFiles } from "./worker/looking.js";
import type { RequestOptions } from "./worker/operation.js";
import type { Place } from "./worker/place.js";
import type { Worker } from "./worker/worker.js";
import { isFailure, isMissing } from "./worker/worker-error.js";

export interface FileSeen extends FileIdentity {
  identity: Identity;
  allocatedBytes: number;
  kind: FileKind;
  /** Permission bits. */
  mode: number;
  owner: number;
}

/**
 * What lies at each of the paths, in their order, in one look; undefined where nothing does.
 * `follow`: what a link leads to, undefined where it leads nowhere. `keep-links`: the link itself.
 * @throws UserError if a path cannot be looked at, for a lack of permission for example: that is not "nothing there"
 */
export async function seeFiles(host: Host, paths: readonly string[], links: "follow" | "keep-links"): Promise<(FileSeen | undefined)[]> {
  if (paths.length === 0) return [];
  return askedOnce(host, JSON.stringify(["look", links, ...paths]), async () => {
    try {
      const found = await lookAtFiles(await host.worker(), paths, links);
      return found.map((status) => (status === null ? undefined : fileSeen(status)));
    } catch (thrown) {
      if (!isFailure(thrown, "system")) throw refusal(host, `look at ${paths.join(", ")}`, thrown);
      throw unable(host, "look at", thrown.path ?? paths.join(", "), thrown.words);
    }
  });
}

/** What lies under a name, links not followed. @throws WorkerError where it cannot be looked at: that is not "nothing there" */
export async function seeFile(worker: Worker, place: Place, options?: RequestOptions): Promise<FileSeen | undefined> {
  try {
    return fileSeen(await fileStatus(worker, place, options));
  } catch (thrown) {
    if (isMissing(thrown)) return undefined;
    throw thrown;
  }
}

export function fileSeen(status: FileStatus): FileSeen {
  const { identity, allocatedBytes, kind, mode, owner } = status;
  return { ...fileIdentity(status), ...{ identity, allocatedBytes, kind, mode, owner } };
}
