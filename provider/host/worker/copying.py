"""Brings a frozen file's bytes into a new file: by reflink, else the parts that hold data, past the page cache where possible."""

import errno
import os
from contextlib import suppress
from time import monotonic
from typing import Iterator, Tuple

from worker.errors import Details, Failure
from worker.extents import aligned_down, data_bytes, extents
from worker.files import from_and_to
from worker.pace import Pace
from worker.requests import Request, operation
from worker.transfers import buffer_of, buffered, clone, direct, is_direct, is_zero, read_fully, write_fully

MIB = 1024 * 1024

#: Read and written at a time where nothing is to be spared. A guest's write waits behind one of them, and longer behind what is written
#: than behind what is read. Measured with dd beside a writing guest, 2 GB at a time, in turn (two cores, virtio disk; seconds, and the
#: guest's p99 in ms): 3 MiB both ways 5.06 and 21.5, reads of 9 MiB and writes of 1 MiB 4.52 and 13.6, 12 and 1 4.54 and 14.7, 18 and 1
#: 4.59 and 19.4, 12 and 2 4.64 and 19.5, 6 and 1 4.83 and 11.2, 12 and 0.5 4.77 and 15.6.
READ_BYTES = 9 * MIB
WRITE_BYTES = MIB

#: What is written is made durable and told as a resume point after so many bytes or seconds, whichever comes first.
RESUME_BYTES = 1024 * MIB
RESUME_SECONDS = 2.0

#: Between two words of how far it is.
TELL_SECONDS = 0.2


@operation("file-copy", changes=True)
def copy(request: Request) -> Details:
    """Both files exist; the target is empty, or with a resume point the earlier copy's that has told it.

    Events: `{"dataBytes", "dataTotalBytes", "copiedBytes", "resumeBytes"}`; the first comes before the first byte, the last where it ends.
    """
    with from_and_to(request) as (source, target, shown):
        before = os.fstat(source)
        way = Copy(request, source, target).run()
        after = os.fstat(source)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise Failure("changed", "it was written to while it was copied", shown)
        return {"way": way, "sizeBytes": before.st_size}


class Copy:
    def __init__(self, request: Request, source: int, target: int) -> None:
        self.request = request
        self.source = source
        self.target = target
        self.size = os.fstat(source).st_size
        #: Up to here all is copied, or is a hole; and up to here it is durable.
        self.resumed = request.arguments.whole("resumeBytes")
        self.position = self.durable = aligned_down(self.resumed)
        self.total = data_bytes(source, 0, self.size)
        self.done = self.done_before(self.position)
        self.is_lost = False
        self.pace = Pace(request)
        self.told = 0.0

    def done_before(self, position: int) -> int:
        return max(0, self.total - data_bytes(self.source, position, self.size))

    def run(self) -> str:
        if self.resumed == 0 and os.fstat(self.target).st_size != 0:
            raise Failure("not-empty", "the target of a copy from the beginning has content")
        if self.position == 0:  # of a copy that was not a block long, nothing counts
            os.ftruncate(self.target, 0)
        self.tell()
        try:
            way = "reflink" if self.is_cloned() else self.move_all()
            self.position, self.done = self.size, self.total
            self.sync()
        except BaseException:
            self.keep()
            raise
        self.tell()
        return way

    def is_cloned(self) -> bool:
        wanted = self.request.arguments.choice("reflink", ["try", "never"]) == "try"
        return wanted and self.position == 0 and clone(self.source, self.target)

    def move_all(self) -> str:
        # Behind the resume point nothing counts: as a hole it needs no zeros.
        os.ftruncate(self.target, self.position)
        os.ftruncate(self.target, self.size)
        direct(self.source)
        direct(self.target)
        way = "direct" if is_direct(self.target) else "buffered"
        with buffer_of(READ_BYTES) as view:
            self.move_pieces(view)
        return way

    def move_pieces(self, view: memoryview) -> None:
        synced_at = monotonic()
        for offset, length in self.pieces():
            self.request.check()
            with view[:length] as piece:
                self.move(piece, offset)
            self.position = offset + length
            self.done += length
            if self.position - self.durable >= RESUME_BYTES or monotonic() - synced_at >= RESUME_SECONDS:
                self.request.fence()
                self.sync()
                synced_at = monotonic()
            self.tell_now_and_then()
            self.pace.spend(length, self.tell_now_and_then)

    def pieces(self) -> Iterator[Tuple[int, int]]:
        for first, last in extents(self.source, self.position, self.size):
            offset = first
            while offset < last:
                length = min(self.pace.step_bytes(READ_BYTES), last - offset)
                yield offset, length
                offset += length

    def move(self, piece: memoryview, offset: int) -> None:
        """Whole blocks as they are; the file's last, shorter one through the page cache."""
        whole = aligned_down(len(piece))
        with piece[:whole] as blocks, piece[whole:] as rest:
            try:
                self.move_part(blocks, offset)
            except OSError as error:
                if error.errno != errno.EINVAL or not (is_direct(self.source) or is_direct(self.target)):
                    raise
                # A file system may take the flag and refuse the transfer: its blocks are larger than ours.
                self.go_buffered()
                self.move_part(blocks, offset)
            if rest:
                self.go_buffered()
                self.move_part(rest, offset + whole)

    def move_part(self, part: memoryview, offset: int) -> None:
        read_fully(self.source, part, offset)
        for at in range(0, len(part), WRITE_BYTES):
            with part[at:at + WRITE_BYTES] as block:
                if not is_zero(block):
                    write_fully(self.target, block, offset + at)

    def go_buffered(self) -> None:
        buffered(self.source)
        buffered(self.target)

    def sync(self) -> None:
        """The kernel tells once of pages that it could not write, and takes them for written then (fsync(2))."""
        try:
            os.fsync(self.target)
        except OSError:
            self.is_lost = True
            raise
        self.durable = self.position

    def keep(self) -> None:
        """Where it ends early: what is copied stays, and what the piece that failed has taken is room again, for the record of it.

        Where a sync has failed, nothing since the one before counts.
        """
        self.request.fence()
        try:
            self.cut_back(self.durable if self.is_lost else self.position)
            if not self.is_lost:
                self.sync()
        except OSError:
            with suppress(OSError):
                self.cut_back(self.durable)
        self.done = self.done_before(self.durable)
        self.tell()

    def cut_back(self, position: int) -> None:
        os.ftruncate(self.target, position)
        os.ftruncate(self.target, self.size)

    def tell_now_and_then(self) -> None:
        if monotonic() - self.told >= TELL_SECONDS:
            self.request.fence()
            self.tell()

    def tell(self) -> None:
        self.told = monotonic()
        self.request.progress({
            "dataBytes": self.done,
            "dataTotalBytes": self.total,
            "copiedBytes": self.position,
            "resumeBytes": self.durable,
        })
