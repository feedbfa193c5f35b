"""A file system with one file, by FUSE, whose closes hang. Only root may mount it."""

import ctypes
import os
import select
import signal
import stat
import struct
from typing import Dict, Optional

LIBC = ctypes.CDLL(None, use_errno=True)
MNT_DETACH = 2

#: include/uapi/linux/fuse.h
LOOKUP, FORGET, GETATTR, OPEN, RELEASE, FLUSH, INIT = 1, 2, 3, 14, 18, 25, 26
ENOSYS = 38
FILE = 2

IN_HEADER = struct.Struct("=IIQQIIII")
OUT_HEADER = struct.Struct("=IiQ")


def attributes(node: int) -> bytes:
    mode, links = (stat.S_IFREG | 0o600, 1) if node == FILE else (stat.S_IFDIR | 0o700, 2)
    return struct.pack("=6Q10I", node, 0, 0, 0, 0, 0, 0, 0, 0, mode, links, 0, 0, 0, 4096, 0)


ANSWERS: Dict[int, bytes] = {
    INIT: struct.pack("=IIIIHHIIHH8I", 7, 31, 0, 0, 0, 0, 65536, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    LOOKUP: struct.pack("=QQQQII", FILE, 0, 0, 0, 0, 0) + attributes(FILE),
    OPEN: struct.pack("=QII", 0, 0, 0),
    RELEASE: b"",
}


class Hanging:
    """Another process serves it: with its end all that hangs goes on."""

    def __init__(self, folder: bytes) -> None:
        self.folder = folder
        device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        self.told, teller = os.pipe()
        try:
            options = b"fd=%d,rootmode=40000,user_id=0,group_id=0" % device
            if LIBC.mount(b"none", folder, b"fuse", 0, options) != 0:
                raise OSError(ctypes.get_errno(), "mount")
            self.pid = os.fork()
            if self.pid == 0:
                try:
                    serve(device, teller)
                finally:
                    os._exit(0)
        finally:
            os.close(device)
            os.close(teller)

    @property
    def file(self) -> bytes:
        return os.path.join(self.folder, b"file")

    def closes(self) -> int:
        """That have come so far."""
        return len(os.read(self.told, 100)) if select.select([self.told], [], [], 0)[0] else 0

    def end(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def close(self) -> None:
        """Behind `end`."""
        LIBC.umount2(self.folder, MNT_DETACH)
        os.close(self.told)


def serve(device: int, teller: int) -> None:
    while True:
        request = os.read(device, 1 << 20)
        _, operation, unique, node, _, _, _, _ = IN_HEADER.unpack_from(request)
        if operation == FLUSH:
            os.write(teller, b"f")
        elif operation != FORGET:
            answer(device, unique, struct.pack("=QII", 0, 0, 0) + attributes(node) if operation == GETATTR else ANSWERS.get(operation))


def answer(device: int, unique: int, data: Optional[bytes]) -> None:
    header = OUT_HEADER.pack(OUT_HEADER.size + len(data or b""), 0 if data is not None else -ENOSYS, unique)
    try:
        os.write(device, header + (data or b""))
    except OSError:  # who asked is gone
        pass
