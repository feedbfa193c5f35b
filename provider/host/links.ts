/** Symbolic links on the host. Each function is one round trip. */

import { changing } from "./file-changes.js";
import type { Host } from "./host.js";
import { writeLink } from "./worker/changes.js";
import { hostErrno } from "./worker/errno.js";
import { linkTarget } from "./worker/files.js";
import { isErrno, isMissing } from "./worker/worker-error.js";

/** What the link says, unresolved; undefined where there is no link. @throws UserError if it cannot be looked at */
export async function readLink(host: Host, path: string): Promise<string | undefined> {
  return changing(host, `read the link ${path}`, async (worker) => {
    try {
      return await linkTarget(worker, { path });
    } catch (thrown) {
      if (isMissing(thrown) || isErrno(thrown, hostErrno.EINVAL)) return undefined; // EINVAL: it is no link (readlink(2))
      throw thrown;
    }
  });
}

/**
 * Lets `path` be a link to `leadsTo`, by one rename, on disk when this returns; a link that is there is replaced.
 * @throws UserError if anything else has that name
 */
export async function makeSymlink(host: Host, leadsTo: string, path: string): Promise<void> {
  await changing(host, `make the link ${path}`, (worker) => writeLink(worker, { path }, { target: leadsTo, existing: "link" }));
}
