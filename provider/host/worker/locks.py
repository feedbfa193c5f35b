"""Locks: flock(2) on regular files of ours. Held by an open file, so no age, clock or pid ever ends one."""

import fcntl
import os
from typing import Optional

from worker.errors import Details, Failure
from worker.places import Place, using_place
from worker.requests import Request, operation
from worker.trust import require_trusted

#: Between two tries while another one holds it: flock in the kernel could not be cancelled.
FIRST_PAUSE_SECONDS = 0.01
PAUSE_SECONDS_AT_MOST = 0.5


class Lock:
    """Children inherit the descriptor, and the lock lasts until the last one has closed it."""

    def __init__(self, descriptor: int, directory: int, name: bytes, shown: bytes) -> None:
        self.descriptor = descriptor
        self.place = Place(directory, name, shown)

    def is_held(self) -> bool:
        """Whether the file under the name is still the locked one: else another run may hold the lock of a new file."""
        found = self.place.status_or_none()
        return found is not None and same_file(found, os.fstat(self.descriptor))

    def require(self) -> None:
        if not self.is_held():
            raise Failure("lock-lost", "the lock's file is no longer under its name", self.place.shown)

    def remove(self) -> None:
        """Only ever by its holder: who waits for it finds that its file is gone, and opens the name again."""
        self.require()
        os.unlink(self.place.name, dir_fd=self.place.directory)

    def close(self) -> None:
        os.close(self.descriptor)
        os.close(self.place.directory)


def same_file(one: os.stat_result, two: os.stat_result) -> bool:
    return (one.st_dev, one.st_ino) == (two.st_dev, two.st_ino)


@operation("lock-acquire", changes=True)
def acquire(request: Request) -> Details:
    """Waits at most `waitSeconds` for who holds it, then `held`."""
    left = request.arguments.seconds("waitSeconds")
    pause = FIRST_PAUSE_SECONDS
    with using_place(request) as place:
        while True:
            descriptor = take(place)
            if descriptor is not None:
                number = request.state.locks.add(Lock(descriptor, os.dup(place.directory), place.name, place.shown))
                request.unless_answered(lambda: request.state.locks.take(number).close())
                return {"lock": number}
            if left <= 0:
                raise Failure("held", "another run holds the lock", place.shown)
            request.sleep(min(pause, left))
            left -= pause
            pause = min(pause * 2, PAUSE_SECONDS_AT_MOST)


def take(place: Place) -> Optional[int]:
    """The locked file's descriptor, or None while another one holds it."""
    while True:
        descriptor = place.open(os.O_RDWR | os.O_CREAT)
        try:
            if not lock_file(place, descriptor):
                os.close(descriptor)
                return None
            found = place.status_or_none()
            if found is not None and same_file(found, os.fstat(descriptor)):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder has removed it: the name is another file's, or free


def lock_file(place: Place, descriptor: int) -> bool:
    """A file that others may open would let them hold the lock for good."""
    require_trusted(place, os.fstat(descriptor), 0o077)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@operation("lock-check")
def check(request: Request) -> Details:
    return {"isHeld": request.state.locks.get(request.arguments.whole("lock")).is_held()}


@operation("lock-release", changes=True)
def release(request: Request) -> Details:
    """With `remove` the file goes too, under the lock. Without, it stays for the next run."""
    lock = request.state.locks.take(request.arguments.whole("lock"))
    try:
        if request.arguments.flag("remove"):
            lock.remove()
    finally:
        lock.close()
    return {}
