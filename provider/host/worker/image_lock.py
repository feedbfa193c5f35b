"""QEMU's own lock on an image."""

import fcntl
import os
import struct

#: fcntl(2), linux/fcntl.h: locks of an open file, which end with its last descriptor.
F_OFD_SETLK = 37

#: QEMU (block/file-posix.c, raw_apply_lock_bytes): byte 200 + n locked for reading means "I do not share permission n". 1 is WRITE.
IMAGE_LOCK_BYTE = 201


def set_image_lock(descriptor: int, kind: int) -> None:
    fcntl.fcntl(descriptor, F_OFD_SETLK, struct.pack("hhqqi4x", kind, os.SEEK_SET, IMAGE_LOCK_BYTE, 1, 0))
