/** Files on a host, looked at. Each function is one round trip. Paths are absolute. Changing them: file-changes.ts. */

import { distrusted, refusal } from "./complaints.js";
import type { Host } from "./host.js";
import { askedOnce } from "./remembering.js";
import { readTrustedFile } from "./worker/files.js";
import { resolvePath, spaceAt } from "./worker/looking.js";
import type { Worker } from "./worker/worker.js";
import { isMissing } from "./worker/worker-error.js";

export { createExclusively, makeAnew, removeFile, removeFiles, renameWithoutReplacing, writeFileAtomically } from "./file-changes.js";

/**
 * A small text file of ours, or undefined where there is none. Another account's, a link and all that is no file are refused.
 * @throws UserError if it cannot be trusted, is larger than `maxBytes` (1 MiB) or cannot be read
 */
export async function readSmallFile(host: Host, path: string, maxBytes = 1024 * 1024): Promise<string | undefined> {
  const worker = await host.worker();
  try {
    return (await readTrustedFile(worker, { path }, { bytesAtMost: maxBytes })).content.toString();
  } catch (thrown) {
    if (isMissing(thrown)) return undefined;
    throw distrusted(host, path, thrown) ?? refusal(host, `read ${path}`, thrown);
  }
}

/**
 * What can still be written in a directory, by an ordinary user. Links are followed.
 * @throws UserError if there is no such directory
 */
export function freeBytes(host: Host, directory: string): Promise<number> {
  return asked(host, { verb: "measure the free space of", path: directory, ask: spaceAt });
}

/**
 * The path without links and dots.
 * @throws UserError if a part of it does not exist
 */
export function realPath(host: Host, path: string): Promise<string> {
  return asked(host, { verb: "resolve", path, ask: resolvePath });
}

interface Question<T> {
  verb: string;
  path: string;
  ask: (worker: Worker, path: string) => Promise<T>;
}

function asked<T>(host: Host, { verb, path, ask }: Question<T>): Promise<T> {
  return askedOnce(host, `${verb} ${path}`, async () => {
    try {
      return await ask(await host.worker(), path);
    } catch (thrown) {
      throw refusal(host, `${verb} ${path}`, thrown);
    }
  });
}
