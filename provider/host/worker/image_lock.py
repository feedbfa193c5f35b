"""QEMU's own lock on an image."""

import fcntl
import os
import struct
from typing import Iterable

#: fcntl(2), linux/fcntl.h: locks of an open file, which end with its last descriptor.
F_OFD_SETLK = 37

#: QEMU (block/file-posix.c, raw_apply_lock_bytes): byte 200 + n locked for reading means "I do not share permission n". 1 is WRITE.
IMAGE_LOCK_BYTE = 201


class HeldByOther(Exception):
    """Another process has the image open for writing."""


def hold_image(descriptor: int) -> None:
    """From now on no QEMU can open it for writing. A file system without such locks holds nothing: QEMU takes none there either."""
    try:
        set_image_lock(descriptor, fcntl.F_RDLCK)
    except (BlockingIOError, PermissionError):
        raise HeldByOther() from None
    except OSError:
        pass


def release_images(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        try:
            set_image_lock(descriptor, fcntl.F_UNLCK)
        except OSError:
            pass  # where none could be taken


def set_image_lock(descriptor: int, kind: int) -> None:
    fcntl.fcntl(descriptor, F_OFD_SETLK, struct.pack("hhqqi4x", kind, os.SEEK_SET, IMAGE_LOCK_BYTE, 1, 0))
