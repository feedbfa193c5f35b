/** A backing chain as the field draws it: layers from the active image down to the base. */

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
export interface FileIdentity {
  dev: string;
  ino: string;
  sizeBytes: number;
  /** Seconds and nanoseconds since the epoch, as `stat -c %.9Y` (or `%Y`) prints it; compared, never computed with. */
  modified: string;
}

/** Of all that a look tells of a file, what says which one it is. */
export function identityOf({ dev, ino, sizeBytes, modified }: FileIdentity): FileIdentity {
  return { dev, ino, sizeBytes, modified };
}

/** The same file, whatever was written to it since. Of two looks that follow each other. */
export function sameFile(a: Pick<FileIdentity, "dev" | "ino">, b: Pick<FileIdentity, "dev" | "ino">): boolean {
  return a.dev === b.dev && a.ino === b.ino;
}

/**
 * Whether what lies under a name now is the file that was written down for that name. Its device number does not count: it may
 * be another after the host has started again.
 */
export function isFile(found: Pick<FileIdentity, "ino">, recorded: Pick<FileIdentity, "ino">): boolean {
  return found.ino === recorded.ino;
}

/** {@link isFile}, and with the content that it had then, as far as the file system can tell. */
export function isUnchanged(found: FileIdentity, recorded: FileIdentity): boolean {
  return isFile(found, recorded) && found.sizeBytes === recorded.sizeBytes && found.modified === recorded.modified;
}
