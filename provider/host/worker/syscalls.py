"""The system calls that python's library does not have, through ctypes. Each says where the kernel or the C library lacks it."""

import ctypes
import errno
import os
import struct
from typing import Any, NamedTuple, Optional

LIBC: Any = ctypes.CDLL(None, use_errno=True)

RENAME_NOREPLACE = 1
AT_EMPTY_PATH = 0x1000
STATX_BTIME = 0x800
STATX_BYTES = 256
#: MAX_HANDLE_SZ, linux/exportfs.h
HANDLE_BYTES = 128
#: errno where a call, or a flag of it, is not known to the kernel or the file system
UNSUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM)
#: name_to_handle_at(2): the file system has no handle for this file, or a longer one than there can be
NO_HANDLE = UNSUPPORTED + (errno.EOVERFLOW,)


def failed(path: bytes) -> OSError:
    code = ctypes.get_errno()
    return OSError(code, os.strerror(code), path)


def rename_no_replace(old_directory: int, old: bytes, new_directory: int, new: bytes) -> bool:
    """renameat2(2) with RENAME_NOREPLACE. False: not to be had here (glibc before 2.28, NFS, some FUSE).

    An existing name is an OSError with EEXIST.
    """
    call = getattr(LIBC, "renameat2", None)
    if call is None:
        return False
    if call(old_directory, old, new_directory, new, ctypes.c_uint(RENAME_NOREPLACE)) == 0:
        return True
    error = failed(new)
    if error.errno in (errno.ENOSYS, errno.EINVAL):
        return False
    raise error


def sync_file_system(descriptor: int) -> None:
    """syncfs(2): all that is on the file system of an open file."""
    if LIBC.syncfs(descriptor) != 0:
        raise failed(b"")


class FileHandle(NamedTuple):
    kind: int
    data: bytes
    #: As in /proc/self/mountinfo.
    mount: int


def file_handle(descriptor: int) -> Optional[FileHandle]:
    """name_to_handle_at(2) of an open file: inode and generation, in the file system's own form. None: it has no handles."""
    call = getattr(LIBC, "name_to_handle_at", None)
    if call is None:
        return None
    buffer = ctypes.create_string_buffer(8 + HANDLE_BYTES)
    struct.pack_into("I", buffer, 0, HANDLE_BYTES)
    mount = ctypes.c_int()
    if call(descriptor, b"", buffer, ctypes.byref(mount), AT_EMPTY_PATH) != 0:
        error = failed(b"")
        if error.errno in NO_HANDLE:
            return None
        raise error
    size, kind = struct.unpack_from("Ii", buffer, 0)
    return FileHandle(kind, buffer.raw[8:8 + size], mount.value)


def birth_time_ns(descriptor: int) -> Optional[int]:
    """statx(2)'s birth time. None: the file system keeps none (ext3, most of FUSE and NFS), or there is no statx (glibc before 2.28)."""
    call = getattr(LIBC, "statx", None)
    if call is None:
        return None
    buffer = ctypes.create_string_buffer(STATX_BYTES)
    if call(descriptor, b"", AT_EMPTY_PATH, ctypes.c_uint(STATX_BTIME), buffer) != 0:
        error = failed(b"")
        if error.errno in UNSUPPORTED:
            return None
        raise error
    (mask,) = struct.unpack_from("I", buffer, 0)
    if not mask & STATX_BTIME:
        return None
    seconds, nanoseconds = struct.unpack_from("qI", buffer, 0x50)
    return int(seconds) * 1000000000 + int(nanoseconds)


def file_system_id(descriptor: int) -> Optional[str]:
    """statfs(2)'s f_fsid in hexadecimal. None: it is 0 (FUSE, NFS), or this machine's struct is not the one of 64 bit."""
    if ctypes.sizeof(ctypes.c_long) != 8:
        return None
    buffer = ctypes.create_string_buffer(256)
    if LIBC.fstatfs(descriptor, buffer) != 0:
        raise failed(b"")
    # f_type, f_bsize, f_blocks, f_bfree, f_bavail, f_files, f_ffree are 8 bytes each (asm-generic/statfs.h, x86 too)
    data = buffer.raw[56:64]
    return data.hex() if any(data) else None


def advise_memory(address: int, length: int, advice: int) -> None:
    """madvise(2), which python has from 3.8 on."""
    if LIBC.madvise(ctypes.c_void_p(address), ctypes.c_size_t(length), ctypes.c_int(advice)) != 0:
        raise failed(b"")
