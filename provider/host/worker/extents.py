"""Which parts of a file hold data, as its file system tells (lseek(2))."""

import errno
import os
from typing import Iterator, Optional, Tuple

#: Offsets and lengths of direct I/O on storage with sectors of 4 KiB.
ALIGNMENT = 4096

#: Shorter holes are read and, where they fill a block of the copy, left out again: a seek costs more than they do.
JOINED_GAP_BYTES = 1024 * 1024


def aligned_down(offset: int) -> int:
    return offset - offset % ALIGNMENT


def extents(source: int, start: int, size: int) -> Iterator[Tuple[int, int]]:
    """First and last offset of each part with data, widened to whole blocks, those with a short hole between them joined."""
    first, last = start, start
    for begin, end in parts(source, start, size):
        if last > first and begin - last < JOINED_GAP_BYTES:
            last = end
            continue
        if last > first:
            yield first, last
        first, last = begin, end
    if last > first:
        yield first, last


def parts(source: int, start: int, size: int) -> Iterator[Tuple[int, int]]:
    """A file system that knows no holes has one part: all."""
    offset = start
    while offset < size:
        data = sought(source, offset, os.SEEK_DATA)
        if data is None:
            return
        hole = sought(source, data, os.SEEK_HOLE)
        end = size if hole is None else min(size, hole + -hole % ALIGNMENT)
        yield max(offset, aligned_down(data)), end
        offset = end


def sought(source: int, offset: int, what: int) -> Optional[int]:
    try:
        return os.lseek(source, offset, what)
    except OSError as error:
        if error.errno == errno.ENXIO:  # only a hole is left, or it has become shorter
            return None
        raise


def data_bytes(source: int, start: int, size: int) -> int:
    return sum(last - first for first, last in extents(source, start, size))
