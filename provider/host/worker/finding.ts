/** Small files of a directory that are known by their names. */

import { z } from "zod";
import { readReply } from "./files.js";
import { type RequestOptions, reads } from "./operation.js";
import type { Worker } from "./worker.js";
import { failureReply, WorkerError } from "./worker-error.js";

const found = z.object({
  name: z.string(),
  read: z.union([z.object({ result: readReply }), z.object({ error: failureReply })]).nullable(),
});

interface Asked {
  path: string;
  pattern: string;
  few: number;
  bytes: number;
  limit: number;
}

const find = reads<Asked, { files: z.output<typeof found>[] }>("files-find", z.object({ files: z.array(found) }));

/** A file of that directory: not read where there are many; else its content, or why it cannot be read or trusted. */
export interface FoundFile {
  name: string;
  read?: Buffer | WorkerError;
}

export interface Finding extends RequestOptions {
  /** For the whole name, in python's syntax. */
  pattern: string;
  /** So many are read at once, as trusted files, each of at most `bytesAtMost`. More are not read. */
  few: number;
  bytesAtMost: number;
  /** More are refused. */
  filesAtMost: number;
}

/** @throws WorkerError `too-large` if there are more files than that; `system` with the errno; `foreign-link` */
export async function findFiles(worker: Worker, path: string, options: Finding): Promise<FoundFile[]> {
  const { pattern, few, bytesAtMost, filesAtMost } = options;
  const { files } = await worker.request(find, { path, pattern, few, bytes: bytesAtMost, limit: filesAtMost }, options);
  return files.map(({ name, read }) => {
    if (read === null) return { name };
    return { name, read: "error" in read ? new WorkerError("files-find", read.error) : read.result.content };
  });
}
