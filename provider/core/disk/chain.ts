/** A backing chain as the field draws it: layers from the active image down to the base. */

import { type Comparison, compareIdentities, type Identity } from "./identity.js";

export type ImageFormat = "qcow2" | "raw" | (string & {});

/** One file of a chain. */
export interface Layer {
  /** Where QEMU says it is: as it was named to QEMU, so perhaps relative to QEMU's working directory. */
  path: string;
  format: ImageFormat;
  /** What the guest sees. */
  virtualBytes: number;
  /** What is allocated on the storage. Rounded to MiB in outputs, left out of diffs. */
  allocatedBytes: number;
  /** The backing name in the image's own header, unresolved; absent where it has none. */
  backingName?: string;
  /** The format that the header gives for that; absent where it gives none: who opens the image by its header guesses. */
  backingFormat?: string;
}

/** Index 0 is the active image, the last is the base. Never empty. */
export type BackingChain = readonly [Layer, ...Layer[]];

/** What a file is, whatever it is called. Sizes and times change when somebody writes. */
export interface FileIdentity extends WhichFile {
  sizeBytes: number;
  /** Seconds and nanoseconds since the epoch, as `stat -c %.9Y` (or `%Y`) prints it; compared, never computed with. */
  modified: string;
}

/** Which file it is. */
export interface WhichFile {
  /** Means something within one look. */
  dev: string;
  ino: string;
  /** What says it beyond a reboot, and when another file has got the inode. Absent where 0.1.0 wrote it down. */
  identity?: Identity | undefined;
}

/** Of all that a look tells of a file, what says which one it is. */
export function whichOf({ dev, ino, identity }: WhichFile): WhichFile {
  return { dev, ino, ...(identity && { identity }) };
}

/** {@link whichOf}, and its size and time. */
export function identityOf({ sizeBytes, modified, ...file }: FileIdentity): FileIdentity {
  return { ...whichOf(file), sizeBytes, modified };
}

/** The same file, whatever was written to it since. Of two looks that follow each other. */
export function sameFile(a: Pick<FileIdentity, "dev" | "ino">, b: Pick<FileIdentity, "dev" | "ino">): boolean {
  return a.dev === b.dev && a.ino === b.ino;
}

/**
 * What lies under a name now, beside the file that was written down for that name. Its device number does not count: it may be another after
 * the host has started again. Unknown where the record is an older version's, or the file system does not tell files apart.
 */
export function compareFiles(found: Known, recorded: Known): Comparison {
  if (found.ino !== recorded.ino) return "different";
  return found.identity && recorded.identity ? compareIdentities(found.identity, recorded.identity) : "unknown";
}

type Known = Pick<WhichFile, "ino" | "identity">;

/**
 * Whether it can be the file that was written down: for what is only looked at, named or compared. What is removed or joined must be
 * proved to be it, by {@link compareFiles}.
 */
export function isFile(found: Known, recorded: Known): boolean {
  return compareFiles(found, recorded) !== "different";
}

/** {@link isFile}, and with the content that it had then, as far as the file system can tell. */
export function isUnchanged(found: FileIdentity, recorded: FileIdentity): boolean {
  return isFile(found, recorded) && found.sizeBytes === recorded.sizeBytes && isSameTime(found.modified, recorded.modified);
}

/** Some `stat` prints whole seconds only. */
function isSameTime(one: string, other: string): boolean {
  const seconds = (time: string) => time.replace(/\..*/, "");
  return one.includes(".") && other.includes(".") ? one === other : seconds(one) === seconds(other);
}
