/** What paths of the host lead to: nothing is held open, and nothing is read. */

import { z } from "zod";
import { type FileStatus, statusReply } from "./files.js";
import { reads } from "./operation.js";
import type { Worker } from "./worker.js";

const look = reads<{ paths: readonly string[]; follow: boolean }, { files: (FileStatus | null)[] }>(
  "files-look",
  z.object({ files: z.array(statusReply.nullable()) }),
);
const resolve = reads<{ path: string }, { path: string }>("path-resolve", z.object({ path: z.string() }));
const space = reads<{ path: string }, { freeBytes: number }>("path-space", z.object({ freeBytes: z.int() }));

/**
 * Of each path, in their order; null where there is nothing. With `follow` of what a link leads to.
 * @throws WorkerError `system` if one cannot be looked at
 */
export async function lookAtFiles(
  worker: Worker,
  paths: readonly string[],
  links: "follow" | "keep-links",
): Promise<(FileStatus | null)[]> {
  return (await worker.request(look, { paths, follow: links === "follow" })).files;
}

/** Without links and dots. @throws WorkerError `system` if a part of it is not there */
export async function resolvePath(worker: Worker, path: string): Promise<string> {
  return (await worker.request(resolve, { path })).path;
}

/** What an account without privileges can still write in its file system. @throws WorkerError `system` */
export async function spaceAt(worker: Worker, path: string): Promise<number> {
  return (await worker.request(space, { path })).freeBytes;
}
