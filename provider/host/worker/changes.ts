/** Changes of names and small files: durable when they are answered, whole or not at all, and never over what was not expected. */

import { z } from "zod";
import { type HeldFile, type SeenFile, statusReply } from "./files.js";
import type { Identity } from "./identity.js";
import { type ChangeOptions, changes, nothing } from "./operation.js";
import type { FromTo, Place } from "./place.js";
import type { Worker } from "./worker.js";

/** What a file must be. */
export type ExpectedFile = Identity | HeldFile | SeenFile;

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

/** What a file has besides its bytes and could not be taken over, with the errno. */
export const leftOf = z.array(z.object({ attribute: z.string(), errno: z.int() }));
export type Left = z.output<typeof leftOf>[number];

interface Written extends Replaced {
  place: Place;
  content: string;
  mode: number | null;
  like: Place | null;
}

/** What was made, and what of another's attributes it could not get. */
export const madeReply = statusReply.extend({ left: leftOf });
export type MadeFile = z.output<typeof madeReply>;

const write = changes<Written, MadeFile>("file-write", madeReply);
const writeLinkTo = changes<{ place: Place; target: string; overLink: boolean } & Replaced, object>("link-write", nothing);
const move = changes<FromTo & { expected: ExpectedFile | null; replace: boolean; locks: readonly number[] }, object>("file-move", nothing);
const removeAll = changes<{ names: readonly Name[]; locks: readonly number[] }, object>("names-remove", nothing);
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
  /** @default 0600, or that of `like` */
  mode?: number;
  /** The file whose owner, mode, ACLs, security label and attributes the new one gets, as far as the account may give them. */
  like?: Place;
}

/** A file with this content. @throws WorkerError `system` with EEXIST; `other-file`; `lock-lost` */
export function writeFile(worker: Worker, place: Place, options: Writing): Promise<MadeFile> {
  const { content, mode = null, like = null } = options;
  return worker.request(write, { place, content: content.toString("base64"), mode, like, ...replaced(options) }, options);
}

export interface Linking extends Omit<Replacing, "existing"> {
  /** Where the link leads. */
  target: string;
  /**
   * What may be under the name.
   * @default "refuse"
   */
  existing?: "refuse" | "link" | "any";
}

/** A symbolic link. @throws WorkerError `system` with EEXIST; `not-link`; `lock-lost` */
export async function writeLink(worker: Worker, place: Place, options: Linking): Promise<void> {
  const { target, existing = "refuse" } = options;
  const asked = {
    place,
    target,
    overLink: existing === "link",
    ...replaced({ ...options, existing: existing === "link" ? "any" : existing }),
  };
  await worker.request(writeLinkTo, asked, options);
}

export interface Moving extends ChangeOptions {
  /** What must be under the old name. Default: whatever is there. */
  expected?: ExpectedFile;
  /** @default "refuse" */
  existing?: "refuse" | "any";
}

/** Within one file system. @throws WorkerError `system` with EEXIST or EXDEV; `other-file`; `lock-lost` */
export async function moveFile(worker: Worker, { from, to }: FromTo, options: Moving = {}): Promise<void> {
  const { expected = null, existing = "refuse", locks = [] } = options;
  await worker.request(move, { from, to, expected, replace: existing === "any", locks }, options);
}

/** A name to be removed. */
export interface Name {
  place: Place;
  /** What must be under it. Default: whatever file or link is there. */
  expected?: SeenFile;
}

/**
 * Files and links, never directories, in this order; each is gone for good before the next. A name that nothing has is none to remove.
 * @throws WorkerError `system` with EISDIR; `other-file`; `lock-lost`
 */
export async function removeNames(worker: Worker, names: readonly Name[], options: ChangeOptions = {}): Promise<void> {
  await worker.request(removeAll, { names, locks: options.locks ?? [] }, options);
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
export async function removeExpected(worker: Worker, place: Place, options: Removing): Promise<void> {
  const { expected, hidden, through, locks = [] } = options;
  await worker.request(remove, { place, expected, hidden, through: through ?? null, locks }, options);
}
