/**
 * Files on a host, changed by operations of the worker's. Each function is one round trip, and what it did is on disk when it returns.
 * A name is used against its directory alone, which is opened once; nothing is written through a link.
 */

import type { FileIdentity } from "../core/disk/chain.js";
import { UserError } from "../core/errors.js";
import { refusal } from "./complaints.js";
import type { Host } from "./host.js";
import { moveFile, removeNames, writeFile } from "./worker/changes.js";
import { hostErrno } from "./worker/errno.js";
import { fileIdentity, type SeenFile } from "./worker/files.js";
import type { Worker } from "./worker/worker.js";
import { isErrno } from "./worker/worker-error.js";

const { EEXIST, EXDEV } = hostErrno;

/** Which file a look has just shown. */
type Known = Pick<FileIdentity, "dev" | "ino">;

/**
 * Writes a whole file, which all may read: at every moment the path holds the old content or the new.
 * @throws UserError if it cannot be written
 */
export async function writeFileAtomically(host: Host, path: string, content: string): Promise<void> {
  const options = { content: Buffer.from(content), mode: 0o644, existing: "any" } as const;
  await changing(host, `write ${path}`, (worker) => writeFile(worker, { path }, options));
}

/** A file that is to be made. */
export interface NewFile {
  content: string;
  /** The path of a file whose owner, mode, ACLs, label and attributes it gets, as far as the account may give them. Default: all may read it. */
  like?: string;
}

/**
 * Makes a file that must not be there yet, with its content complete from its first moment.
 * @returns what it is then
 * @throws UserError if it cannot be made
 */
export async function createExclusively(host: Host, path: string, { content, like }: NewFile): Promise<FileIdentity | "exists"> {
  const dress = like === undefined ? { mode: 0o644 } : { like: { path: like, follow: true } as const };
  return changing(host, `create ${path}`, async (worker) => {
    try {
      return fileIdentity(await writeFile(worker, { path }, { content: Buffer.from(content), ...dress }));
    } catch (thrown) {
      if (isErrno(thrown, EEXIST)) return "exists";
      throw thrown;
    }
  });
}

/**
 * Makes a file under a name that only we give: what an earlier run has left there goes first.
 * @throws UserError if it cannot be made, or somebody else makes one of that name
 */
export async function makeAnew(host: Host, path: string, file: NewFile): Promise<FileIdentity> {
  await removeFile(host, path);
  const made = await createExclusively(host, path, file);
  if (made !== "exists") return made;
  throw new UserError(
    `Unable to create ${path} on ${host.name}: somebody else has put something there. See who changes files there, then run \`pulumi up\` again.`,
  );
}

/**
 * Removes a file or a link, never a directory; one that is not there is no error.
 * @param known the one that it must be
 * @throws UserError if it stays
 */
export async function removeFile(host: Host, path: string, known?: Known): Promise<void> {
  const name = known === undefined ? { place: { path } } : { place: { path }, expected: seen(known) };
  await changing(host, `remove ${path}`, (worker) => removeNames(worker, [name]));
}

/**
 * Removes each as {@link removeFile} does, in this order.
 * @throws UserError at the first that stays
 */
export async function removeFiles(host: Host, paths: readonly string[]): Promise<void> {
  const names = paths.map((path) => ({ place: { path } }));
  const what = (thrown: unknown) => `remove ${pathIn(thrown) ?? paths.join(", ")}`;
  await changing(host, what, (worker) => removeNames(worker, names));
}

/** One file that gets another name. */
export interface Renaming {
  from: string;
  to: string;
  /** Which file must be under the old name. Default: whatever is there. */
  known?: Known;
}

/**
 * Renames a file within its file system; what has the new name already keeps it.
 * @throws UserError if the new name is taken, or the file cannot be renamed
 */
export async function renameWithoutReplacing(host: Host, { from, to, known }: Renaming): Promise<void> {
  const places = { from: { path: from }, to: { path: to } };
  const options = known === undefined ? {} : { expected: seen(known) };
  await changing(host, `rename ${from} to ${to}`, async (worker) => {
    try {
      await moveFile(worker, places, options);
    } catch (thrown) {
      const why = isErrno(thrown, EEXIST) ? "the new name is taken. Move what has it away" : "they are on two file systems. Fix that";
      if (!isErrno(thrown, EEXIST) && !isErrno(thrown, EXDEV)) throw thrown;
      throw new UserError(`Unable to rename ${from} to ${to} on ${host.name}: ${why}, then run \`pulumi up\` again.`, { cause: thrown });
    }
  });
}

function seen({ dev, ino }: Known): SeenFile {
  return { dev, ino };
}

function pathIn(thrown: unknown): string | undefined {
  return thrown instanceof Error && "path" in thrown && typeof thrown.path === "string" ? thrown.path : undefined;
}

/** Does it on the host; what it is refused becomes a sentence that begins with `what` it was. */
export async function changing<T>(
  host: Host,
  what: string | ((thrown: unknown) => string),
  act: (worker: Worker) => Promise<T>,
): Promise<T> {
  const worker = await host.worker();
  try {
    return await act(worker);
  } catch (thrown) {
    throw refusal(host, typeof what === "string" ? what : what(thrown), thrown);
  }
}
