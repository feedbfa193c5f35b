/** The process behind a QEMU's monitor, as far as the account may see it. */

import { z } from "zod";
import { reads } from "./operation.js";
import type { Worker } from "./worker.js";

const behind = reads<{ socket: string }, { pid: number | null }>("monitor-process", z.object({ pid: z.int().nullable() }));

const filesReply = z.object({
  workingDirectory: z.string().nullable(),
  files: z.array(z.object({ device: z.string(), inode: z.string(), path: z.string() })),
});

const files = reads<{ pid: number }, z.output<typeof filesReply>>("process-files", filesReply);

/** Undefined where the host hides it: another user's process, or another PID namespace. */
export async function pidBehind(worker: Worker, socket: string): Promise<number | undefined> {
  return (await worker.request(behind, { socket })).pid ?? undefined;
}

/** Regular files that a process has open, each with the path by which the kernel knows it; undefined where it has ended, or the host hides that. */
export async function openFilesOf(
  worker: Worker,
  pid: number,
): Promise<{ workingDirectory: string; files: z.output<typeof filesReply>["files"] } | undefined> {
  const { workingDirectory, files: found } = await worker.request(files, { pid });
  return workingDirectory === null ? undefined : { workingDirectory, files: found };
}
