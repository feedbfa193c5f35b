/** The records that the test guest writes (initramfs.ts), as the checker reads them back. */

export const recordBytes = 4096;
export const clusterBytes = 65536;

/** Records go round over so many clusters, one in each, at a place that differs from slot to slot. */
export const slots = 400;

export function slotOf(sequence: number): number {
  return sequence % slots;
}

/** Where a slot's record begins, in bytes. */
export function slotOffset(slot: number): number {
  return slot * clusterBytes + (slot % 16) * recordBytes;
}

/** The whole record: the disk's name in the guest and the number decide every byte. */
export function recordOf(guestName: string, sequence: number): Buffer {
  const checksum = (sequence * 48271 + 11) % 2147483647;
  const line = `livedisk ${guestName} ${sequence} ${checksum} `.padEnd(63, ".");
  return Buffer.alloc(recordBytes, `${line}\n`);
}

/** The number of a whole, undamaged record of this disk; undefined for anything else. */
export function sequenceIn(bytes: Buffer, guestName: string): number | undefined {
  const found = /^livedisk (\S+) (\d+) /.exec(bytes.toString("latin1", 0, 64));
  if (found === null) return undefined;
  const sequence = Number(found[2]);
  return bytes.equals(recordOf(guestName, sequence)) ? sequence : undefined;
}
