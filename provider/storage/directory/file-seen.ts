/** What one look shows of a file. Pure. */

import type { FileIdentity } from "../../core/disk/chain.js";
import { BugError } from "../../core/errors.js";

/** What lies under a name, links not followed. */
export interface FileSeen extends FileIdentity {
  allocatedBytes: number;
  kind: "file" | "other";
}

/** Reads `stat -c '%d %i %s %.9Y %b %F'`, or `none`. @throws BugError for any other line: that is not "none" */
export function parseFile(line: string): FileSeen | undefined {
  if (line === "none") return undefined;
  const [, dev, ino, size, modified, blocks, kind] = /^(\d+) (\d+) (\d+) (\S+) (\d+) (\S.*)$/.exec(line) ?? [];
  if (dev === undefined || ino === undefined || size === undefined || modified === undefined || kind === undefined)
    throw new BugError(`Unable to read what the host says of a file: "${line.slice(0, 80)}".`);
  return {
    dev,
    ino,
    sizeBytes: Number(size),
    modified,
    // stat counts in blocks of 512 bytes, whatever the file system's own are
    allocatedBytes: Number(blocks) * 512,
    kind: kind.startsWith("regular") ? "file" : "other",
  };
}
