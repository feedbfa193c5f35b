/** Headers as no current tool makes them. */

import { readFileSync, writeFileSync } from "node:fs";

/** The header extension that holds the backing file's format (docs/interop/qcow2.txt, "Backing file format name"). */
const backingFormat = 0xe2792aca;

/** The qcow2 names its backing file and no format, as those that old tools made: qemu-img 6.1 and later refuses to make one. */
export function forgetBackingFormat(file: string): void {
  const bytes = readFileSync(file);
  const type = Buffer.alloc(4);
  type.writeUInt32BE(backingFormat);
  const at = bytes.indexOf(type);
  if (at < 0 || at > 4096) throw new Error(`${file} names no format of its backing file.`);
  bytes.writeUInt32BE(backingFormat + 1, at); // an extension that nobody knows is passed over
  writeFileSync(file, bytes);
}
