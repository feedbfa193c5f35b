"""Brings a frozen file's bytes into a new file: by reflink, else the parts that hold data, past the page cache where possible."""

import errno
import fcntl
import mmap
import os
from time import monotonic
from typing import Iterator, NamedTuple, Optional, Tuple

from worker.errors import Details, Failure
from worker.files import from_and_to
from worker.requests import Request, operation

#: FICLONE, linux/fs.h
FICLONE = 0x40049409

#: Offsets and lengths of direct I/O on storage with sectors of 4 KiB.
ALIGNMENT = 4096

PIECE_BYTES = 8 * 1024 * 1024

#: After so many bytes what is written is made durable and told as a resume point.
RESUME_BYTES = 256 * 1024 * 1024

#: A limited copy moves pieces of so much time.
PACED_SECONDS = 0.25


class Copy(NamedTuple):
    request: Request
    source: int
    target: int
    size: int
    #: Bytes per second; 0: as fast as it goes.
    rate: int
    buffer: mmap.mmap


@operation("file-copy", changes=True)
def copy(request: Request) -> Details:
    """Both files exist; the target is empty, or holds what an earlier copy has told as its resume point.

    Events: `{"copiedBytes", "dataBytes", "resumeBytes"}`, each counted from the file's beginning.
    """
    arguments = request.arguments
    with from_and_to(request) as (source, target, shown):
        before = os.fstat(source)
        start = arguments.whole("resumeBytes")
        way = fill(request, source, target, start)
        os.fsync(target)
        after = os.fstat(source)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise Failure("changed", "it was written to while it was copied", shown)
        return {"way": way, "sizeBytes": before.st_size}


def fill(request: Request, source: int, target: int, start: int) -> str:
    size = os.fstat(source).st_size
    rate = request.arguments.whole("bytesPerSecond")
    if start == 0 and request.arguments.choice("reflink", ["try", "never"]) == "try" and clone(source, target):
        return "reflink"
    if start == 0 and os.fstat(target).st_size != 0:
        raise Failure("not-empty", "the target of a copy from the beginning has content")
    os.ftruncate(target, size)
    with mmap.mmap(-1, PIECE_BYTES) as buffer:
        pieces = Copy(request, source, target, size, rate, buffer)
        direct(source)
        direct(target)
        way = "direct" if is_direct(target) else "buffered"
        move_all(pieces, start - start % ALIGNMENT)
    return way


def clone(source: int, target: int) -> bool:
    """Every refusal is answered by copying: another file system, one without reflinks, a file of another kind (ioctl_ficlone(2))."""
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError:
        return False
    return True


def direct(descriptor: int) -> None:
    """O_DIRECT where the file system has it; tmpfs before Linux 6.6 and some of FUSE have not."""
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_DIRECT)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise


def is_direct(descriptor: int) -> bool:
    return bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT)


def buffered(descriptor: int) -> None:
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags & ~os.O_DIRECT)


def move_all(copy: Copy, start: int) -> None:
    durable = start
    told = monotonic()
    copied = 0
    for offset, length in pieces_of(copy, start):
        copy.request.check()
        began = monotonic()
        move_piece(copy, offset, length)
        copied += length
        end = offset + length
        if end - durable >= RESUME_BYTES:
            os.fsync(copy.target)
            durable = end
        if monotonic() - told > 0.5:
            told = monotonic()
            copy.request.fence()
            copy.request.progress({"copiedBytes": end, "dataBytes": copied, "resumeBytes": durable})
        if copy.rate:
            copy.request.sleep(max(0.0, began + length / copy.rate - monotonic()))


def pieces_of(copy: Copy, start: int) -> Iterator[Tuple[int, int]]:
    """What holds data, in pieces that fit the buffer and the rate."""
    step = PIECE_BYTES
    if copy.rate:
        step = min(step, max(ALIGNMENT, int(copy.rate * PACED_SECONDS) // ALIGNMENT * ALIGNMENT))
    for first, last in extents(copy.source, start, copy.size):
        for offset in range(first, last, step):
            yield offset, min(step, last - offset)


def extents(source: int, start: int, size: int) -> Iterator[Tuple[int, int]]:
    """Parts with data, widened to whole blocks. A file system that knows no holes has one part: all (lseek(2))."""
    offset = start
    while offset < size:
        found = next_data(source, offset)
        if found is None:
            return
        first = max(offset, found - found % ALIGNMENT)
        hole = os.lseek(source, found, os.SEEK_HOLE)
        last = min(size, hole + -hole % ALIGNMENT)
        yield first, last
        offset = last


def next_data(source: int, offset: int) -> Optional[int]:
    try:
        return os.lseek(source, offset, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:  # only a hole is left
            return None
        raise


def move_piece(copy: Copy, offset: int, length: int) -> None:
    """Whole blocks as they are; the file's last, shorter one through the page cache."""
    whole = length - length % ALIGNMENT
    if whole:
        try:
            move_part(copy, offset, whole)
        except OSError as error:
            if error.errno != errno.EINVAL or not (is_direct(copy.source) or is_direct(copy.target)):
                raise
            # A file system may take the flag and refuse the transfer: its blocks are larger than ours.
            buffered(copy.source)
            buffered(copy.target)
            move_part(copy, offset, whole)
    if length > whole:
        buffered(copy.source)
        buffered(copy.target)
        move_part(copy, offset + whole, length - whole)


def move_part(copy: Copy, offset: int, length: int) -> None:
    view = memoryview(copy.buffer)[:length]
    try:
        read_fully(copy.source, view, offset)
        write_fully(copy.target, view, offset)
    finally:
        view.release()


def read_fully(source: int, view: memoryview, offset: int) -> None:
    done = 0
    while done < len(view):
        os.lseek(source, offset + done, os.SEEK_SET)
        with view[done:] as rest:
            count = os.readv(source, [rest])
        if count == 0:
            raise Failure("changed", "it became shorter while it was copied")
        done += count


def write_fully(target: int, view: memoryview, offset: int) -> None:
    done = 0
    while done < len(view):
        os.lseek(target, offset + done, os.SEEK_SET)
        with view[done:] as rest:
            done += os.writev(target, [rest])
