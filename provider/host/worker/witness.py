"""Who comes after a child of the worker's that has died waits until the programs which that began have ended, too."""

import os
import struct
import time
from typing import List, Tuple

from worker.locks import lock_file
from worker.processes import is_alive, is_exiting, start_time

PAUSE_SECONDS = 0.02

#: A process id, and its start time, or -1.
LISTED = struct.Struct("=iq")


class Witness:
    """A file without a name. The child has it locked by an open file of its own, which its programs inherit.

    A lock lasts until the last file of the last one is closed, and a close waits for its file system, which may hang. So all are listed in
    the file, too: one that is seen to end runs no more.
    """

    def __init__(self) -> None:
        path = os.path.join(os.environ.get("TMPDIR", "/tmp"), "livedisk-%s" % os.urandom(8).hex())
        self.file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_APPEND, 0o600)
        os.unlink(path)

    def take(self) -> int:
        """For this process and its programs. Waits for those of the one before."""
        own = os.open("/proc/self/fd/%d" % self.file, os.O_RDWR | os.O_CLOEXEC)
        while not (lock_file(own) or self._are_over()):
            time.sleep(PAUSE_SECONDS)
        self.list(os.getpid())
        return own

    def list(self, pid: int) -> None:
        """A program before it is told anything: one that is not listed by then has done nothing, and never will."""
        started = start_time(pid)
        os.write(self.file, LISTED.pack(pid, -1 if started is None else started))

    def close(self) -> None:
        os.close(self.file)

    def _are_over(self) -> bool:
        listed = self._listed()
        return bool(listed) and all(is_over(pid, started) for pid, started in listed)

    def _listed(self) -> List[Tuple[int, int]]:
        data = os.pread(self.file, os.fstat(self.file).st_size, 0)
        return [(pid, started) for pid, started in LISTED.iter_unpack(data)]


def is_over(pid: int, started: int) -> bool:
    return started >= 0 and (not is_alive(pid, started) or is_exiting(pid, started))
