"""What the client does with locks: takes them, says in their files who holds them or what they are for, and gives them back."""

import fcntl
import os
from contextlib import contextmanager
from typing import Iterator, List

from worker.errors import Details, Failure
from worker.locks import Lock, said_in, take
from worker.paths import DIRECTORY_FLAGS
from worker.places import Place, sync_descriptor, using_place
from worker.requests import Request, operation

#: Between two tries while another one holds it: flock in the kernel could not be cancelled.
FIRST_PAUSE_SECONDS = 0.01
PAUSE_SECONDS_AT_MOST = 0.5


@operation("lock-acquire", changes=True)
def acquire(request: Request) -> Details:
    """Waits at most `waitSeconds` for who holds it, then `held`. Either way it tells what the file says, and since when."""
    left = request.arguments.seconds("waitSeconds")
    flags = os.O_RDWR | (os.O_CREAT if request.arguments.flag("make") else 0)
    forbidden_mode = 0o022 if request.arguments.flag("othersMayRead") else 0o077
    pause = FIRST_PAUSE_SECONDS
    with using_place(request) as place:
        while True:
            descriptor, is_granted = take(place, flags, forbidden_mode)
            try:
                said = said_in(descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            if is_granted:
                number = request.state.locks.add(Lock(descriptor, os.dup(place.directory), place.name, place.shown))
                request.unless_answered(lambda: request.state.locks.take(number).release())
                return dict(said, lock=number)
            os.close(descriptor)
            if left <= 0:
                raise Failure("held", "another run holds the lock", place.shown, details=said)
            request.sleep(min(pause, left))
            left -= pause
            pause = min(pause * 2, PAUSE_SECONDS_AT_MOST)


@operation("lock-write", changes=True)
def write(request: Request) -> Details:
    """Says in the locked file who holds it.

    Runs of 0.1.0 know no flock. They look at the file, and replace it, while they hold the lock of its directory: under that lock it is
    looked at once more, and written. One that came first has replaced the file, which is `lock-lost`; one that comes later finds our text.
    """
    content = request.arguments.content("content")
    with request.state.locks.using([request.arguments.whole("lock")]) as (lock,), directory_locked(request, lock.place):
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


@operation("lock-replace", changes=True)
def replace(request: Request) -> Details:
    """What the locked file holds, where that decides something: whole or not at all, and locked without a gap."""
    with request.state.locks.using([request.arguments.whole("lock")]) as (lock,):
        lock.replace(request.arguments.content("content"))
    return {}


@operation("lock-check")
def check(request: Request) -> Details:
    """Of several in one question, each."""
    with request.state.locks.using(request.arguments.numbers("which")) as locks:
        return {"areHeld": [lock.is_held() for lock in locks]}


@operation("lock-release", changes=True)
def release(request: Request) -> Details:
    """Of several. With `remove` their files go too, under the locks, unless something works on under one. Else they stay for the next run.

    With `first` that file goes before them, and only if all are still held: a client that is killed leaves all, or nothing. When it is gone
    all is done: a lock's file that cannot be removed, or is somebody else's by now, stays.
    """
    numbers = request.arguments.numbers("which")
    if request.arguments.has("first"):
        with request.state.locks.using(numbers) as locks, using_place(request, "first") as place:
            for lock in locks:
                lock.require()
            remove_file(place)
    failures: List[Exception] = []
    for number in numbers:
        try:
            let_go(request.state.locks.take(number), request.arguments.flag("remove"))
        except (Failure, OSError) as failure:
            failures.append(failure)
    if failures and not request.arguments.has("first"):
        raise failures[0]
    return {}


def let_go(lock: Lock, remove: bool) -> None:
    """The file of one under which something of ours works on stays: by a new file of that name another run would have a lock of its own."""
    try:
        if remove and not lock.is_in_use():
            lock.remove()
    finally:
        lock.release()


def remove_file(place: Place) -> None:
    try:
        os.unlink(place.name, dir_fd=place.directory)
    except FileNotFoundError:
        pass
    sync_descriptor(place.directory, place.shown)
