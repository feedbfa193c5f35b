"""Who comes after a child of the worker's that has died waits until the programs which that began have ended, too."""

import fcntl
import os
import time

PAUSE_SECONDS = 0.02


class Witness:
    """A file without a name. The child has it locked by an open file of its own, which its programs inherit."""

    def __init__(self) -> None:
        path = os.path.join(os.environ.get("TMPDIR", "/tmp"), "livedisk-%s" % os.urandom(8).hex())
        self.file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        os.unlink(path)

    def take(self) -> int:
        """For the programs of this process. Waits for those of the one before."""
        own = os.open("/proc/self/fd/%d" % self.file, os.O_RDWR | os.O_CLOEXEC)
        while True:
            try:
                fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return own
            except BlockingIOError:
                time.sleep(PAUSE_SECONDS)

    def close(self) -> None:
        os.close(self.file)
