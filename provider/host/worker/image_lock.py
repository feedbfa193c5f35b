"""QEMU's own lock on an image."""

import fcntl
import os
import struct
from typing import Iterable, List, Tuple

from worker.errors import words_of

#: fcntl(2), linux/fcntl.h: locks of an open file, which end with its last descriptor.
F_OFD_GETLK, F_OFD_SETLK = 36, 37

#: QEMU (block/file-posix.c, raw_apply_lock_bytes): byte 200 + n locked for reading means "I do not share permission n". 1 is WRITE.
IMAGE_LOCK_BYTE = 201


class NotHeld(Exception):
    """Why another process may open the image for writing, or has done so."""


def hold_image(descriptor: int) -> None:
    """From now on no QEMU can open it for writing. Where a lock cannot even be asked for, it holds nothing: QEMU takes none there either.

    @raise NotHeld
    """
    try:
        set_image_lock(descriptor, fcntl.F_RDLCK)
    except (BlockingIOError, PermissionError):
        raise NotHeld("another process has its image open for writing") from None
    except OSError as refusal:
        if has_locks(descriptor):
            raise NotHeld("its image cannot be locked: %s" % words_of(refusal)) from None


def hold_images(images: Iterable[Tuple[str, int]]) -> List[Tuple[str, str]]:
    """All that can be held are. @return the others, by the name that each is given here, and why"""
    others = []
    for name, descriptor in images:
        try:
            hold_image(descriptor)
        except NotHeld as reason:
            others.append((name, str(reason)))
    return others


def has_locks(descriptor: int) -> bool:
    """By QEMU's own questions (qemu_has_file_lock() and qemu_has_ofd_lock(), util/osdep.c, 7.2)."""
    try:
        for question in (fcntl.F_GETLK, F_OFD_GETLK):
            fcntl.fcntl(descriptor, question, lock_bytes(fcntl.F_WRLCK, 0, 0))
        return True
    except OSError:
        return False


def release_images(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        try:
            set_image_lock(descriptor, fcntl.F_UNLCK)
        except OSError:
            pass  # where none could be taken


def set_image_lock(descriptor: int, kind: int) -> None:
    fcntl.fcntl(descriptor, F_OFD_SETLK, lock_bytes(kind, IMAGE_LOCK_BYTE, 1))


def lock_bytes(kind: int, first: int, length: int) -> bytes:
    """struct flock (fcntl(2))."""
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, first, length, 0)
