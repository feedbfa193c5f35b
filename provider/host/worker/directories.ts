/** Directories of the host, held open by the worker. */

import { z } from "zod";
import { changes, nothing, reads } from "./operation.js";
import type { NamedPlace, Place } from "./place.js";
import type { Worker } from "./worker.js";

/** What a name stands for. */
export const fileKind = z.enum(["file", "directory", "link", "block-device", "character-device", "fifo", "socket", "other"]);

export type FileKind = z.output<typeof fileKind>;
export type Entry = { name: string; kind: FileKind };

const open = reads<{ path: string; private: boolean }, { directory: number }>("directory-open", z.object({ directory: z.int() }));
const close = reads<{ directory: number }, object>("directory-close", nothing);
const make = changes<{ place: Place }, object>("directory-make", nothing);
const remove = changes<{ place: Place }, object>("directory-remove", nothing);
const sync = changes<{ directory: number }, object>("directory-sync", nothing);
const space = reads<{ directory: number }, { freeBytes: number }>("directory-space", z.object({ freeBytes: z.int() }));
const list = reads<{ directory: number; limit: number }, { entries: Entry[] }>(
  "directory-list",
  z.object({ entries: z.array(z.object({ name: z.string(), kind: fileKind })) }),
);

/** Names in it stay names in it, whatever becomes of the directories above. */
export class WorkerDirectory {
  readonly #worker: Worker;

  constructor(
    worker: Worker,
    readonly number: number,
  ) {
    this.#worker = worker;
  }

  /** A name in it. */
  place(name: string): NamedPlace {
    return { directory: this.number, name };
  }

  /** @throws WorkerError `too-large` if it has more names than that */
  async list(entriesAtMost: number): Promise<Entry[]> {
    return (await this.#worker.request(list, { directory: this.number, limit: entriesAtMost })).entries;
  }

  /** What an account without privileges can still write in its file system. */
  async freeBytes(): Promise<number> {
    return (await this.#worker.request(space, { directory: this.number })).freeBytes;
  }

  async sync(): Promise<void> {
    await this.#worker.request(sync, { directory: this.number });
  }

  async close(): Promise<void> {
    await this.#worker.request(close, { directory: this.number });
  }
}

/** @throws WorkerError `system` with the errno; `foreign-link` for a link on the way that somebody else has put there */
export async function openDirectory(worker: Worker, path: string): Promise<WorkerDirectory> {
  return new WorkerDirectory(worker, (await worker.request(open, { path, private: false })).directory);
}

/** One that is ours alone, with mode 0700. @throws WorkerError `foreign-owner`, `wrong-mode` if it is not */
export async function openPrivateDirectory(worker: Worker, path: string): Promise<WorkerDirectory> {
  return new WorkerDirectory(worker, (await worker.request(open, { path, private: true })).directory);
}

/** With mode 0700, durable. @throws WorkerError `system` with EEXIST if the name is taken */
export async function makeDirectory(worker: Worker, place: Place): Promise<void> {
  await worker.request(make, { place });
}

/** An empty one. */
export async function removeDirectory(worker: Worker, place: Place): Promise<void> {
  await worker.request(remove, { place });
}
