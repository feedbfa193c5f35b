/** What one look shows of a file. Pure. */

import type { FileIdentity } from "../../core/disk/chain.js";
import { BugError, UserError } from "../../core/errors.js";

/** What lies under a name, links not followed. */
export interface FileSeen extends FileIdentity {
  allocatedBytes: number;
  kind: "file" | "other";
}

/** For scripts: a line for {@link parseFile} about the last argument, after options for stat. What stat cannot tell is not "none". */
export const identityPart = `
identity() {
  seen=$(stat -c '%d %i %s %.9Y %b %F' "$@" 2>&1) || case $seen in
    *": No such file or directory" | *": Not a directory") seen=none ;;
    *) seen="unknown $(printf %s "$seen" | tr '\\n' ' ')" ;;
  esac
  printf '%s\\n' "$seen"
}
`;

/**
 * Reads a line of {@link identityPart}.
 * @throws UserError with stat's words where it could not look @throws BugError for any other line: that is not "none"
 */
export function parseFile(line: string): FileSeen | undefined {
  if (line === "none") return undefined;
  if (line.startsWith("unknown "))
    throw new UserError(
      `Unable to look at a layer (${line.slice("unknown ".length)}). Nothing was touched. Repair its storage, then run again.`,
    );
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
