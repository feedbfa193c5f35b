/** Single files of the host: reading them, and what they are. */

import { z } from "zod";
import type { FileIdentity } from "../../core/disk/chain.js";
import { fileKind } from "./directories.js";
import { identity } from "./identity.js";
import { bigNumber, changes, nothing, type RequestOptions, reads } from "./operation.js";
import type { Place } from "./place.js";
import type { Worker } from "./worker.js";

const described = z.object({
  kind: fileKind,
  sizeBytes: z.int(),
  allocatedBytes: z.int(),
  modifiedNs: bigNumber,
  mode: z.int(),
  owner: z.int(),
  group: z.int(),
  links: z.int(),
});

const content = z.base64().transform((text) => Buffer.from(text, "base64"));
export const readReply = described.extend({ content });
export const statusReply = described.extend({ identity });

/** What was read, and what the open file was then. */
export type ReadFile = z.output<typeof readReply>;
/** What a name stands for. */
export type FileStatus = z.output<typeof statusReply>;

/** What it was when it was looked at, for comparing with what is written down. */
export function fileIdentity({ identity, sizeBytes, modifiedNs }: FileStatus): FileIdentity {
  return { dev: identity.device, ino: identity.inode, identity, sizeBytes, modified: modifiedText(modifiedNs) };
}

/** As `stat -c %.9Y` prints it. */
function modifiedText(ns: bigint): string {
  const [sign, digits] = ns < 0n ? ["-", -ns] : ["", ns];
  return `${sign}${digits / 1_000_000_000n}.${String(digits % 1_000_000_000n).padStart(9, "0")}`;
}

const read = reads<{ place: Place; limit: number; trust: boolean }, ReadFile>("file-read", readReply);
const status = reads<{ place: Place }, FileStatus>("file-status", statusReply);
const readTarget = reads<{ place: Place }, { target: string }>("link-read", z.object({ target: z.string() }));
const openReply = statusReply.extend({ file: z.int() });
const open = reads<{ place: Place }, z.output<typeof openReply>>("file-open", openReply);
const sync = changes<{ file: number }, object>("file-sync", nothing);
const close = reads<{ file: number }, object>("file-close", nothing);

/** @see WorkerFile.itself */
export type HeldFile = { file: number };

/** A file by what a look has just shown. It is another one's too once that file is removed, so it is for the next step alone. */
export type SeenFile = { dev: string; ino: string };

export interface Reading extends RequestOptions {
  /** A larger file is refused. */
  bytesAtMost: number;
}

/**
 * A regular file, whole.
 * @throws WorkerError `not-regular`; `too-large` if it has more bytes than that; `system` with the errno
 */
export function readFile(worker: Worker, place: Place, options: Reading): Promise<ReadFile> {
  return worker.request(read, { place, limit: options.bytesAtMost, trust: false }, options);
}

/**
 * A file that no other account could have written: regular, of the owner that a file made there has, with no right to write for others.
 * @throws WorkerError also `foreign-owner`, `wrong-mode`
 */
export function readTrustedFile(worker: Worker, place: Place, options: Reading): Promise<ReadFile> {
  return worker.request(read, { place, limit: options.bytesAtMost, trust: true }, options);
}

/** Of the name itself: a link is a link. @throws WorkerError `system` with ENOENT if there is none */
export function fileStatus(worker: Worker, place: Place, options?: RequestOptions): Promise<FileStatus> {
  return worker.request(status, { place }, options);
}

/** Where a symbolic link points to. */
export async function linkTarget(worker: Worker, place: Place): Promise<string> {
  return (await worker.request(readTarget, { place })).target;
}

/** A file held open. */
export class WorkerFile {
  readonly #worker: Worker;
  readonly #number: number;

  constructor(
    worker: Worker,
    number: number,
    /** When it was opened. */
    readonly status: FileStatus,
  ) {
    this.#worker = worker;
    this.#number = number;
  }

  /** For what is expected under a name: no other file can have its inode while it is open, on file systems without handles too. */
  get itself(): HeldFile {
    return { file: this.#number };
  }

  /** Durable, and every error of writing it back since it was opened is told here, by whichever process. @see fsync(2) */
  async sync(options?: RequestOptions): Promise<void> {
    await this.#worker.request(sync, { file: this.#number }, options);
  }

  async close(): Promise<void> {
    await this.#worker.request(close, { file: this.#number });
  }
}

/** Open it before the first write: later it may miss an error. */
export async function openFile(worker: Worker, place: Place, options?: RequestOptions): Promise<WorkerFile> {
  const { file, ...status } = await worker.request(open, { place }, options);
  return new WorkerFile(worker, file, status);
}
