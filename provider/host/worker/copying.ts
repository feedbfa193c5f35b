/** Copies of frozen files on the host. */

import { z } from "zod";
import { type Left, leftOf } from "./changes.js";
import type { HeldFile } from "./files.js";
import type { Identity } from "./identity.js";
import { type ChangeOptions, changes } from "./operation.js";
import type { Place } from "./place.js";
import type { Worker } from "./worker.js";

const progress = z.object({
  /** Of what holds data: what is copied, also by an earlier copy that this one goes on with, and all. */
  dataBytes: z.int(),
  dataTotalBytes: z.int(),
  /** Up to here the file is done, its holes too. */
  copiedBytes: z.int(),
  /** Up to here it is durable: a later copy may begin there. */
  resumeBytes: z.int(),
});

export type CopyProgress = z.output<typeof progress>;

export interface ToFileOptions extends ChangeOptions {
  /** What the target must be: where others may write beside it, a name alone does not tell. Default: what is there. */
  expected?: Identity | HeldFile;
}

export interface CopyOptions extends ToFileOptions {
  /**
   * Where to begin: a {@link CopyProgress.resumeBytes} of an earlier copy of the same frozen file to the same target.
   * @default 0
   */
  resumeBytes?: number;
  /**
   * The rate, for the storage's sake, asked again while it runs; `0`: none. A reflink makes no load and knows none.
   * @default none
   */
  bytesPerSecond?: () => number;
  /** @default "try" */
  reflink?: "try" | "never";
  /** First before the first byte, last where it ends, whatever its end is. */
  onProgress?: (progress: CopyProgress) => void;
}

/** From a place, or from a file that is held open, whatever its name leads to by now. */
export interface FromFile {
  from: Place | HeldFile;
  to: Place;
}

interface CopyArguments extends FromFile {
  resumeBytes: number;
  bytesPerSecond: number;
  reflink: "try" | "never";
  expected: Identity | HeldFile | null;
  locks: readonly number[];
}

const copied = z.object({
  /** By shared extents, past the page cache, or through it. */
  way: z.enum(["reflink", "direct", "buffered"]),
  sizeBytes: z.int(),
});
const copy = changes<CopyArguments, z.output<typeof copied>>("file-copy", copied);
const attributes = changes<FromFile & { expected: Identity | HeldFile | null; locks: readonly number[] }, { left: Left[] }>(
  "file-attributes-copy",
  z.object({ left: leftOf }),
);

/**
 * Into an existing file of ours, which is empty or holds what the resume point says; holes stay holes, and it is durable at the end.
 * @throws WorkerError `changed` if the source was written to meanwhile; `cancelled`; `not-empty`; `other-file`; `system` with ENOSPC and the like
 */
export function copyFile(worker: Worker, { from, to }: FromFile, options: CopyOptions = {}): Promise<z.output<typeof copied>> {
  const { resumeBytes = 0, bytesPerSecond = () => 0, reflink = "try", expected = null, locks = [], onProgress = () => {} } = options;
  let rate = wholeRate(bytesPerSecond());
  let give: (piece: Buffer) => void = () => {};
  const onBegun = (given: typeof give) => {
    give = given;
  };
  const onEvent = (event: unknown) => {
    onProgress(progress.parse(event));
    const now = wholeRate(bytesPerSecond());
    if (now !== rate) give(Buffer.from(String(now)));
    rate = now;
  };
  return worker.request(copy, { from, to, resumeBytes, bytesPerSecond: rate, reflink, expected, locks }, { ...options, onEvent, onBegun });
}

/** Less than one byte per second is not none. */
function wholeRate(bytesPerSecond: number): number {
  return Math.ceil(bytesPerSecond);
}

/**
 * Owner, mode, ACLs, security label and the user's own attributes.
 * @returns what could not be carried, with the errno
 */
export async function copyAttributes(worker: Worker, { from, to }: FromFile, options: ToFileOptions = {}): Promise<Left[]> {
  const { expected = null, locks = [] } = options;
  return (await worker.request(attributes, { from, to, expected, locks }, options)).left;
}
