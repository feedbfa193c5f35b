"""Locks: flock(2) on regular files of ours. Held by an open file, so no age, clock or pid ever ends one."""

import fcntl
import os
import time
from contextlib import contextmanager
from typing import Iterator, List, Tuple

from worker.errors import Details, Failure
from worker.places import DIRECTORY_FLAGS, Place, sync_descriptor, using_place
from worker.requests import Request, operation
from worker.text import to_text
from worker.trust import require_trusted
from worker.wire import write_all

#: Between two tries while another one holds it: flock in the kernel could not be cancelled.
FIRST_PAUSE_SECONDS = 0.01
PAUSE_SECONDS_AT_MOST = 0.5

#: Of what a lock file says. A longer text is none of ours.
TEXT_BYTES_AT_MOST = 4096


class Lock:
    """Children inherit the descriptor, and the lock lasts until the last one has closed it."""

    def __init__(self, descriptor: int, directory: int, name: bytes, shown: bytes) -> None:
        self.descriptor = descriptor
        self.place = Place(directory, name, shown)

    def is_held(self) -> bool:
        """Whether the file under the name is still the locked one: else another run may hold the lock of a new file."""
        return self.place.is_name_of(self.descriptor)

    def require(self) -> None:
        if not self.is_held():
            raise Failure("lock-lost", "the lock's file is no longer under its name", self.place.shown)

    def write(self, content: bytes) -> None:
        """In place: a file that is renamed to the name would be another one, without the lock."""
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        write_all(self.descriptor, content)
        os.ftruncate(self.descriptor, len(content))
        sync_descriptor(self.descriptor, self.place.shown)

    def remove(self) -> None:
        """Only ever by its holder: who waits for it finds that its file is gone, and opens the name again."""
        self.require()
        os.unlink(self.place.name, dir_fd=self.place.directory)
        sync_descriptor(self.place.directory, self.place.shown)

    def close(self) -> None:
        os.close(self.descriptor)
        os.close(self.place.directory)


@operation("lock-acquire", changes=True)
def acquire(request: Request) -> Details:
    """Waits at most `waitSeconds` for who holds it, then `held`. Either way it tells what the file says, and since when."""
    left = request.arguments.seconds("waitSeconds")
    make = request.arguments.flag("make")
    pause = FIRST_PAUSE_SECONDS
    with using_place(request) as place:
        while True:
            descriptor, is_granted = take(place, make)
            try:
                said = said_in(descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            if is_granted:
                number = request.state.locks.add(Lock(descriptor, os.dup(place.directory), place.name, place.shown))
                request.unless_answered(lambda: request.state.locks.take(number).close())
                return dict(said, lock=number)
            os.close(descriptor)
            if left <= 0:
                raise Failure("held", "another run holds the lock", place.shown, details=said)
            request.sleep(min(pause, left))
            left -= pause
            pause = min(pause * 2, PAUSE_SECONDS_AT_MOST)


def take(place: Place, make: bool = True) -> Tuple[int, bool]:
    """The open file's descriptor, and whether it is locked by it: else another one holds it."""
    while True:
        descriptor = place.open(os.O_RDWR | (os.O_CREAT if make else 0))
        try:
            if not lock_file(place, descriptor):
                return descriptor, False
            if place.is_name_of(descriptor):
                return descriptor, True
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


def said_in(descriptor: int) -> Details:
    """The age is by this host's clock, which may jump: for the locks of 0.1.0 alone, which know nothing better."""
    text = os.pread(descriptor, TEXT_BYTES_AT_MOST, 0)
    return {"text": to_text(text), "ageSeconds": int(time.time() - os.fstat(descriptor).st_mtime)}


@operation("lock-write", changes=True)
def write(request: Request) -> Details:
    """Says in the locked file who holds it.

    Runs of 0.1.0 know no flock. They look at the file, and replace it, while they hold the lock of its directory: under that lock it is
    looked at once more, and written. One that came first has replaced the file, which is `lock-lost`; one that comes later finds our text.
    """
    lock = request.state.locks.get(request.arguments.whole("lock"))
    content = request.arguments.content("content")
    with directory_locked(request, lock.place):
        lock.require()
        lock.write(content)
    return {}


@contextmanager
def directory_locked(request: Request, place: Place) -> Iterator[None]:
    """Waits at most `waitSeconds` for who works under it, then `held`."""
    left = request.arguments.seconds("waitSeconds")
    descriptor = os.open(b".", DIRECTORY_FLAGS, dir_fd=place.directory)
    try:
        while not lock_directory(descriptor):
            if left <= 0:
                raise Failure("held", "another process holds the lock of its directory", place.shown)
            request.sleep(FIRST_PAUSE_SECONDS)
            left -= FIRST_PAUSE_SECONDS
        yield
    finally:
        os.close(descriptor)


def lock_directory(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # as on NFS, which locks no directories (flock(2)): then no run of 0.1.0 has a lock there
        return True
    return True


@operation("lock-check")
def check(request: Request) -> Details:
    """Of several in one question, each."""
    locks = request.state.locks
    return {"areHeld": [locks.get(number).is_held() for number in request.arguments.numbers("which")]}


@operation("lock-release", changes=True)
def release(request: Request) -> Details:
    """Of several. With `remove` their files go too, under the locks. Without, they stay for the next run.

    With `first` that file goes before them, and only if all are still held: a client that is killed leaves all, or nothing.
    """
    numbers = request.arguments.numbers("which")
    if request.arguments.has("first"):
        for number in numbers:
            request.state.locks.get(number).require()
        with using_place(request, "first") as place:
            remove_file(place)
    failures: List[Exception] = []
    for number in numbers:
        try:
            let_go(request.state.locks.take(number), request.arguments.flag("remove"))
        except (Failure, OSError) as failure:
            failures.append(failure)
    if failures:
        raise failures[0]
    return {}


def let_go(lock: Lock, remove: bool) -> None:
    try:
        if remove:
            lock.remove()
    finally:
        lock.close()


def remove_file(place: Place) -> None:
    try:
        os.unlink(place.name, dir_fd=place.directory)
    except FileNotFoundError:
        pass
    sync_descriptor(place.directory, place.shown)
