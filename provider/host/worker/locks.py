"""Locks: flock(2) on regular files of ours. Held by an open file, so no age, clock or pid ever ends one."""

import fcntl
import os
import threading
import time
from typing import Tuple

from worker.errors import Details, Failure
from worker.places import Place, sync_descriptor
from worker.trust import require_trusted
from worker.text import to_text
from worker.wire import write_all

#: Of what a lock file says. A longer text is none of ours.
TEXT_BYTES_AT_MOST = 4096


class Lock:
    """Children inherit it. Should the worker die, the lock lasts until the last one has ended."""

    def __init__(self, descriptor: int, directory: int, name: bytes, shown: bytes) -> None:
        #: Its number stays the same, whichever file is locked.
        self.descriptor = descriptor
        self.place = Place(directory, name, shown)
        self.staged = Place(directory, name + b".new", shown)
        self.changing = threading.RLock()
        #: Requests that rest on it, those that need its descriptor alone, and whether the client has given it back.
        self.counting = threading.Lock()
        self.users = 0
        self.borrowers = 0
        self.is_released = False
        #: Its file says who holds it, and nothing else.
        self.says_holder = False

    def is_held(self) -> bool:
        """Whether the file under the name is still the locked one: else another run may hold the lock of a new file."""
        with self.changing:
            return self.place.is_name_of(self.descriptor)

    def require(self) -> None:
        if not self.is_held():
            raise Failure("lock-lost", "the lock's file is no longer under its name", self.place.shown)

    def write(self, content: bytes) -> None:
        """Who holds it, in place: who looks at it meanwhile may see a part, and what inherited the lock has it still."""
        self.says_holder = True
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        write_all(self.descriptor, content)
        os.ftruncate(self.descriptor, len(content))
        sync_descriptor(self.descriptor, self.place.shown)

    def replace(self, content: bytes) -> None:
        """Whole or not at all: by a new file, which is locked before it has the name."""
        with self.changing:
            self.require()
            self._unstage()
            descriptor = self.staged.open(os.O_RDWR | os.O_CREAT | os.O_EXCL)
            try:
                write_all(descriptor, content)
                sync_descriptor(descriptor, self.place.shown)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.rename(self.staged.name, self.place.name, src_dir_fd=self.staged.directory, dst_dir_fd=self.place.directory)
                os.dup2(descriptor, self.descriptor, inheritable=False)
            except BaseException:
                self._unstage()
                raise
            finally:
                os.close(descriptor)
            sync_descriptor(self.place.directory, self.place.shown)

    def remove(self) -> None:
        """Only ever by its holder: who waits for it finds that its file is gone, and opens the name again. What went before goes first."""
        with self.changing:
            self.require()
            sync_descriptor(self.place.directory, self.place.shown)
            self._unstage()
            os.unlink(self.place.name, dir_fd=self.place.directory)
            sync_descriptor(self.place.directory, self.place.shown)

    def _unstage(self) -> None:
        """What a cut run has left."""
        unlink_if_there(self.staged)

    def use(self) -> None:
        """Only by the table (Locks), as long as it has it."""
        with self.counting:
            self.users += 1

    def leave(self) -> None:
        with self.counting:
            self.users -= 1
            self._let_go()

    def is_in_use(self) -> bool:
        """Asked of one that is out of the table: nobody comes any more."""
        with self.counting:
            return self.users > 0

    def lend(self) -> None:
        """Only by the table, too."""
        with self.counting:
            self.borrowers += 1

    def take_back(self) -> None:
        with self.counting:
            self.borrowers -= 1
            self._let_go()

    def release(self) -> None:
        """For the client. What it began under the lock may hang in the kernel, past its deadline: the lock is free when that has ended."""
        with self.counting:
            self.is_released = True
            self._let_go()

    def _let_go(self) -> None:
        if not self.is_released or self.users > 0:
            return
        # Programs of others, which inherited it, would hold it on.
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)
        if self.borrowers == 0:
            self.close()

    def close(self) -> None:
        os.close(self.descriptor)
        os.close(self.place.directory)


def unlink_if_there(place: Place) -> None:
    try:
        os.unlink(place.name, dir_fd=place.directory)
    except FileNotFoundError:
        pass


def take(place: Place, flags: int = os.O_RDWR | os.O_CREAT, forbidden_mode: int = 0o077) -> Tuple[int, bool]:
    """The open file's descriptor, and whether it is locked by it: else another one holds it.

    A file that others may open would let them hold the lock for good.
    """
    while True:
        descriptor = place.open(flags)
        try:
            require_trusted(place, os.fstat(descriptor), forbidden_mode)
            if not lock_file(descriptor):
                return descriptor, False
            if place.is_name_of(descriptor):
                return descriptor, True
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder has removed it: the name is another file's, or free


def lock_file(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def said_in(descriptor: int) -> Details:
    """The age is by this host's clock, which may jump: for the locks of 0.1.0 alone, which know nothing better."""
    text = os.pread(descriptor, TEXT_BYTES_AT_MOST, 0)
    touched = os.fstat(descriptor).st_mtime_ns
    return {"text": to_text(text), "ageSeconds": int(time.time() - touched / 1e9), "touched": str(touched)}
