"""Bytes from one descriptor to another, past the page cache where both sides can."""

import ctypes
import errno
import fcntl
import mmap
import os
from contextlib import contextmanager, suppress
from typing import Iterator

from worker.errors import Failure
from worker.syscalls import advise_memory

#: FICLONE, linux/fs.h
FICLONE = 0x40049409

#: linux/mman.h; python names them from 3.8 on.
MADV_DONTFORK = 10
MADV_HUGEPAGE = 14

#: Of x86-64 and of ARM with pages of 4 KiB.
HUGE_PAGE_BYTES = 2 * 1024 * 1024


def clone(source: int, target: int) -> bool:
    """Every refusal is answered by copying: another file system, one without reflinks, a file of another kind (ioctl_ficlone(2))."""
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError:
        return False
    return True


@contextmanager
def buffer_of(length: int) -> Iterator[memoryview]:
    """In huge pages, where the kernel gives them: a direct transfer is then a few long segments for the device, not one a page of 4 KiB.

    They are for private memory that is aligned like them; for shared memory, which is the default of mmap, most kernels have none. A child
    must not get private memory: where another thread forks meanwhile, a direct transfer may go to the child's copy of it (open(2)).
    """
    room = length + -length % HUGE_PAGE_BYTES + HUGE_PAGE_BYTES
    with mmap.mmap(-1, room, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as buffer:
        address = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
        advise_memory(address, room, MADV_DONTFORK)
        with suppress(OSError):  # a kernel without them
            advise_memory(address, room, MADV_HUGEPAGE)
        first = -address % HUGE_PAGE_BYTES
        with memoryview(buffer) as all_of_it, all_of_it[first:first + length] as view:
            yield view


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


def is_zero(block: memoryview) -> bool:
    """Asked of the beginning first, which most data answers."""
    with block[:4096] as beginning:
        if beginning.tobytes() != bytes(len(beginning)):
            return False
    return block.tobytes() == bytes(len(block))


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
