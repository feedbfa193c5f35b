/** Which bytes of a file are copied, in which pieces. Pure. */

/** A run of bytes that holds data; what lies between is a hole. */
export interface Extent {
  offset: number;
  length: number;
}

const mib = 1024 * 1024;

/** Offsets and lengths are multiples of this, the end of the file aside: direct I/O wants it on 4Kn storage. */
const alignmentBytes = 4096;

/** Shorter holes are copied as zeros: a seek costs more than they do. */
export const joinedGapBytes = mib;

/** What `dd` asks the storage for at a time. */
export interface Blocks {
  readBytes: number;
  /** A piece is a whole number of these or less than one: GNU dd 9.1 drops O_DIRECT and syncs on a short last block that it writes. */
  writeBytes: number;
}

/** How much of a file one command copies, and in what blocks. */
export interface StepSize {
  bytes: number;
  blocks: Blocks;
}

/** What the host is told with one command. */
export interface Step {
  pieces: readonly Extent[];
  blocks: Blocks;
}

/**
 * Where nothing is to be spared. A guest's write waits behind one of them, and longer behind what is written than behind what is read.
 * Measured beside a writing guest, 2 GB at a time, in turn (two cores, virtio disk; seconds, and the guest's p99 in ms): 3 MiB both ways
 * 5.06 and 21.5, reads of 9 MiB and writes of 1 MiB 4.52 and 13.6, 12 and 1 4.54 and 14.7, 18 and 1 4.59 and 19.4, 12 and 2 4.64 and 19.5,
 * 6 and 1 4.83 and 11.2, 12 and 0.5 4.77 and 15.6. The huge pages in the buffer for reads, which the script asks for, made a
 * copy a fifth faster.
 */
export const unsparingBlocks: Blocks = { readBytes: 9 * mib, writeBytes: mib };

/** No command to the host copies more, so that a stop or a changed rate takes effect soon; none that is left to choose copies less. */
export const largestStepBytes = 7 * unsparingBlocks.readBytes;
const smallestStepBytes = mib;

/** Pieces of one command: a shell line stays short, and one `dd` costs some 2 ms. */
const piecesPerStep = 64;

/** Reads `<offset> <length>`, as the host prints it. */
export function parseExtent(line: string): Extent {
  const [offset = 0, length = 0] = line.split(" ").map(Number);
  return { offset, length };
}

/** Data extents, sorted, aligned outwards to 4 KiB, those less than `gapBytes` apart joined, none past the end of the file. */
export function mergeExtents(extents: readonly Extent[], fileBytes: number, gapBytes = joinedGapBytes): Extent[] {
  const merged: Extent[] = [];
  for (const { offset, length } of extents.toSorted((a, b) => a.offset - b.offset)) {
    const start = alignDown(offset);
    const end = Math.min(alignDown(offset + length + alignmentBytes - 1), fileBytes);
    const last = merged.at(-1);
    if (last !== undefined && start - (last.offset + last.length) < gapBytes) last.length = Math.max(last.length, end - last.offset);
    else if (end > start) merged.push({ offset: start, length: end - start });
  }
  return merged;
}

function alignDown(bytes: number): number {
  return bytes - (bytes % alignmentBytes);
}

export function totalBytes(extents: readonly Extent[]): number {
  return extents.reduce((sum, { length }) => sum + length, 0);
}

/** What of the extents lies at or after a position that {@link positionAfter} gave. */
export function remainingAfter(extents: readonly Extent[], position: number): Extent[] {
  return extents
    .filter(({ offset, length }) => offset + length > position)
    .map(({ offset, length }) => ({ offset: Math.max(offset, position), length: offset + length - Math.max(offset, position) }));
}

/** The commands in turn, from the start of the file to its end. `size` is asked for every step: the rate may change. */
export function* stepsOf(extents: readonly Extent[], size: () => StepSize): Generator<Step, void> {
  let pieces: Extent[] = [];
  let room = 0;
  let blocks = unsparingBlocks;
  for (const extent of extents) {
    let { offset, length } = extent;
    while (length > 0) {
      if (pieces.length === 0) ({ bytes: room, blocks } = withinBounds(size()));
      const piece = { offset, length: pieceBytes(Math.min(length, room), blocks) };
      pieces.push(piece);
      offset += piece.length;
      length -= piece.length;
      room -= piece.length;
      if (room >= alignmentBytes && pieces.length < piecesPerStep) continue;
      yield { pieces, blocks };
      pieces = [];
    }
  }
  if (pieces.length > 0) yield { pieces, blocks };
}

function withinBounds({ bytes, blocks }: StepSize): StepSize {
  return { bytes: alignDown(Math.min(Math.max(bytes, smallestStepBytes), largestStepBytes)), blocks };
}

/** Whole blocks as long as there is one, then the aligned part of what is left, then the unaligned end of the file by itself. */
function pieceBytes(length: number, { writeBytes }: Blocks): number {
  if (length >= writeBytes) return length - (length % writeBytes);
  return length >= alignmentBytes ? alignDown(length) : length;
}

/** Where a copy stands after these pieces: all before it is copied, or is a hole. */
export function positionAfter(pieces: readonly Extent[]): number {
  const last = pieces.at(-1);
  return last === undefined ? 0 : last.offset + last.length;
}
