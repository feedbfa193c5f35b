/** Changes of names and small files: durable when they are answered, whole or not at all, and never over what was not expected. */

import type { HeldFile } from "./files.js";
import type { Identity } from "./identity.js";
import { type ChangeOptions, changes, nothing } from "./operation.js";
import type { FromTo, Place } from "./place.js";
import type { Worker } from "./worker.js";

/** What may be under the new name. */
export interface Replacing extends ChangeOptions {
  /**
   * `refuse`: the name must be free. `any`: what is there is replaced. An identity: only this file is.
   * @default "refuse"
   */
  existing?: "refuse" | "any" | Identity;
  /** A private directory on the same file system, for the time between; needed where others may write beside the place. Default: beside it. */
  through?: number;
}

interface Replaced {
  replace: boolean;
  expected: Identity | null;
  through: number | null;
  locks: readonly number[];
}

const write = changes<{ place: Place; content: string; mode: number } & Replaced, object>("file-write", nothing);
const writeLinkTo = changes<{ place: Place; target: string } & Replaced, object>("link-write", nothing);
const move = changes<FromTo & { expected: Identity | HeldFile | null; replace: boolean; locks: readonly number[] }, object>(
  "file-move",
  nothing,
);
const remove = changes<
  { place: Place; expected: Identity | HeldFile; hidden: "allow" | "refuse"; through: number | null; locks: readonly number[] },
  object
>("file-remove", nothing);

function replaced({ existing = "refuse", through, locks = [] }: Replacing): Replaced {
  return {
    replace: existing !== "refuse",
    expected: typeof existing === "string" ? null : existing,
    through: through ?? null,
    locks,
  };
}

export interface Writing extends Replacing {
  content: Buffer;
  mode: number;
}

/** A file with this content and mode. @throws WorkerError `system` with EEXIST; `other-file`; `lock-lost` */
export async function writeFile(worker: Worker, place: Place, options: Writing): Promise<void> {
  const { content, mode } = options;
  await worker.request(write, { place, content: content.toString("base64"), mode, ...replaced(options) }, options);
}

export interface Linking extends Replacing {
  /** Where the link leads. */
  target: string;
}

/** A symbolic link. @throws WorkerError `system` with EEXIST; `other-file`; `lock-lost` */
export async function writeLink(worker: Worker, place: Place, options: Linking): Promise<void> {
  await worker.request(writeLinkTo, { place, target: options.target, ...replaced(options) }, options);
}

export interface Moving extends ChangeOptions {
  /** What must be under the old name. Default: whatever is there. */
  expected?: Identity | HeldFile;
  /** @default "refuse" */
  existing?: "refuse" | "any";
}

/** Within one file system. @throws WorkerError `system` with EEXIST or EXDEV; `other-file`; `lock-lost` */
export async function moveFile(worker: Worker, { from, to }: FromTo, options: Moving = {}): Promise<void> {
  const { expected = null, existing = "refuse", locks = [] } = options;
  await worker.request(move, { from, to, expected, replace: existing === "any", locks }, options);
}

export interface Removing extends ChangeOptions {
  /** What must be under the name. */
  expected: Identity | HeldFile;
  /** Whether processes that this account may not look into are a reason to keep the file. */
  hidden: "allow" | "refuse";
  through?: number;
}

/**
 * The expected file, if no process is seen to have it open.
 * @throws WorkerError `other-file` if it is not proved to be this file; `open` if it is in use; `lock-lost`. The file has its name then
 */
export async function removeFile(worker: Worker, place: Place, options: Removing): Promise<void> {
  const { expected, hidden, through, locks = [] } = options;
  await worker.request(remove, { place, expected, hidden, through: through ?? null, locks }, options);
}
