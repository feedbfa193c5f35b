/** Copies of frozen files on the host. */

import { z } from "zod";
import type { Identity } from "./identity.js";
import { type ChangeOptions, changes } from "./operation.js";
import type { FromTo } from "./place.js";
import type { Worker } from "./worker.js";

const progress = z.object({
  /** Up to here the file is done, its holes too. */
  copiedBytes: z.int(),
  /** Of what holds data, since this copy began. */
  dataBytes: z.int(),
  /** Up to here it is durable: a later copy may begin there. */
  resumeBytes: z.int(),
});

export type CopyProgress = z.output<typeof progress>;

export interface ToFileOptions extends ChangeOptions {
  /** What the target must be: where others may write beside it, a name alone does not tell. Default: what is there. */
  expected?: Identity;
}

export interface CopyOptions extends ToFileOptions {
  /**
   * Where to begin: a {@link CopyProgress.resumeBytes} of an earlier copy of the same frozen file to the same target.
   * @default 0
   */
  resumeBytes?: number;
  /**
   * The rate, for the storage's sake; `0`: none. A reflink makes no load and knows none.
   * @default 0
   */
  bytesPerSecond?: number;
  /** @default "try" */
  reflink?: "try" | "never";
  onProgress?: (progress: CopyProgress) => void;
}

interface CopyArguments extends FromTo {
  resumeBytes: number;
  bytesPerSecond: number;
  reflink: "try" | "never";
  expected: Identity | null;
  locks: readonly number[];
}

const copied = z.object({
  /** By shared extents, past the page cache, or through it. */
  way: z.enum(["reflink", "direct", "buffered"]),
  sizeBytes: z.int(),
});
const copy = changes<CopyArguments, z.output<typeof copied>>("file-copy", copied);
const left = z.object({ left: z.array(z.object({ attribute: z.string(), errno: z.int() })) });
const attributes = changes<FromTo & { expected: Identity | null; locks: readonly number[] }, z.output<typeof left>>(
  "file-attributes-copy",
  left,
);

/**
 * Into an existing file of ours, which is empty or holds what the resume point says; holes stay holes, and it is durable at the end.
 * @throws WorkerError `changed` if the source was written to meanwhile; `cancelled`; `not-empty`; `other-file`; `system` with ENOSPC and the like
 */
export function copyFile(worker: Worker, { from, to }: FromTo, options: CopyOptions = {}): Promise<z.output<typeof copied>> {
  const { resumeBytes = 0, bytesPerSecond = 0, reflink = "try", expected = null, locks = [], onProgress = () => {} } = options;
  const onEvent = (event: unknown) => onProgress(progress.parse(event));
  return worker.request(copy, { from, to, resumeBytes, bytesPerSecond, reflink, expected, locks }, { ...options, onEvent });
}

/**
 * Owner, mode, ACLs, security label and the user's own attributes.
 * @returns what could not be carried, with the errno
 */
export async function copyAttributes(worker: Worker, { from, to }: FromTo, options: ToFileOptions = {}): Promise<Left[]> {
  const { expected = null, locks = [] } = options;
  return (await worker.request(attributes, { from, to, expected, locks }, options)).left;
}

export type Left = z.output<typeof left>["left"][number];
