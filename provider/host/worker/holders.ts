/** Who has files of the host open. */

import { z } from "zod";
import { type RequestOptions, reads } from "./operation.js";
import type { Place } from "./place.js";
import type { Worker } from "./worker.js";

const holder = z.object({
  pid: z.int(),
  /** In ticks since the boot; with the pid it names the process for good. Null: it has just ended. */
  startTime: z.int().nullable(),
  /** The name of its executable's file. */
  program: z.string(),
  access: z.enum(["reads", "writes"]),
});

const fileLock = z.object({
  /** As /proc/locks has it: `FLOCK`, `POSIX`, `OFDLCK`, `LEASE`. */
  kind: z.string(),
  access: z.enum(["reads", "writes"]),
  first: z.int(),
  /** Null: to the end of the file. */
  last: z.int().nullable(),
});

const reply = z.object({
  files: z.array(z.object({ open: z.array(holder), locks: z.array(fileLock) })),
  hidden: z.int(),
});

/** Every descriptor once, so a process may be named more than once. The worker itself is not named. */
export type FileHolders = z.output<typeof reply>["files"][number];

/** `hidden` counts the processes that this account may not look into: where it is not 0, an empty list does not say that nobody has the file open. */
export type AllHolders = z.output<typeof reply>;

const ofPaths = reads<{ paths: readonly string[] }, AllHolders>("path-holders", reply);
const holders = reads<{ places: readonly Place[] }, AllHolders>("file-holders", reply);

/** In the order of the places; all in one look. @throws WorkerError `system` with the errno if one cannot be opened */
export function fileHolders(worker: Worker, places: readonly Place[], options?: RequestOptions): Promise<AllHolders> {
  return worker.request(holders, { places }, options);
}

/** {@link fileHolders} of what the paths lead to. */
export function pathHolders(worker: Worker, paths: readonly string[], options?: RequestOptions): Promise<AllHolders> {
  return worker.request(ofPaths, { paths }, options);
}
