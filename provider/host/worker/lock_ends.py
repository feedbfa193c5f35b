"""Locks that nobody has given back when the worker ends: a file that only said who holds it goes, as it does in an orderly release.

A program or a switch of ours may work on under the lock. So it is closed first, and the file goes only if the lock is then to be had: as
any other run would take it. Children do that, one for each file system: one that hangs keeps neither the other locks nor the worker.
"""

import os
import time
from typing import Dict, List, Optional, Tuple

from worker.forked import leave_session
from worker.locks import Lock, lock_file, unlink_if_there

#: For the children. What is not removed by then stays for the next run, or goes later.
SECONDS_AT_MOST = 10.0

PAUSE_SECONDS = 0.002


def end_locks(locks: List[Lock]) -> None:
    begun: List[int] = []
    ready, go = pipe_or_none(), pipe_or_none()
    try:
        if ready is not None and go is not None:
            for together in by_file_system(locks).values():
                begun.append(forked(together, ready[1], go[0]))
    except OSError:  # no process is to be had: the files stay
        pass
    finally:
        if ready is not None:
            os.close(ready[1])
            os.read(ready[0], 1)  # nothing, once no child has a lock any more that is another one's to end
        for lock in locks:
            lock.close()
        for end_of_pipe in (ready or ())[:1] + (go or ()):
            os.close(end_of_pipe)
    deadline = time.monotonic() + SECONDS_AT_MOST
    while begun and time.monotonic() < deadline:
        begun = [pid for pid in begun if not has_ended(pid)]
        time.sleep(PAUSE_SECONDS if begun else 0)


def pipe_or_none() -> Optional[Tuple[int, int]]:
    try:
        return os.pipe()
    except OSError:
        return None


def by_file_system(locks: List[Lock]) -> Dict[int, List[Lock]]:
    found: Dict[int, List[Lock]] = {}
    for lock in locks:
        found.setdefault(os.fstat(lock.descriptor).st_dev, []).append(lock)
    return found


def forked(locks: List[Lock], ready: int, go: int) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            leave_session({ready, go} | {number for lock in locks for number in (lock.descriptor, lock.place.directory)})
            os.close(ready)
            os.read(go, 1)  # nothing, once the worker has closed its own
            for lock in locks:
                end(lock)
        finally:
            os._exit(0)
    return pid


def has_ended(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG) != (0, 0)
    except ChildProcessError:  # who started the worker ignores SIGCHLD: it may have ended
        return True


def end(lock: Lock) -> None:
    """Its other copies are closed by then, but for those of who works on under it."""
    if not lock.says_holder and os.fstat(lock.descriptor).st_size > 0:
        return
    try:
        # Before the file is closed: as long as it is open, no other one has its inode.
        again = lock.place.open(os.O_RDWR)
        if not os.path.samestat(os.fstat(again), os.fstat(lock.descriptor)):
            return
        os.close(lock.descriptor)
        if lock_file(again) and lock.place.is_name_of(again):
            unlink_if_there(lock.staged)
            os.unlink(lock.place.name, dir_fd=lock.place.directory)
            os.fsync(lock.place.directory)
    except OSError:
        pass
