"""Locks that nobody has given back when the worker ends: a file that only said who holds it goes, as it does in an orderly release.

A program or a switch of ours may work on under the lock. So it is closed first, and the file goes only if the lock is then to be had: as
any other run would take it. Each mount has a thread: one that hangs keeps neither the other locks nor the worker.
"""

import os
import threading
import time
from typing import Dict, List, Optional

from worker.locks import Lock, lock_file, unlink_if_there
from worker.mounts import mount_number

#: For the threads. What is not removed by then stays for the next run.
SECONDS_AT_MOST = 10.0


def end_locks(locks: List[Lock]) -> None:
    begun = [thread for thread in (begin(together) for together in by_mount(locks).values()) if thread is not None]
    deadline = time.monotonic() + SECONDS_AT_MOST
    for thread in begun:
        thread.join(max(0.0, deadline - time.monotonic()))


def by_mount(locks: List[Lock]) -> Dict[Optional[int], List[Lock]]:
    """By what asks no file system."""
    found: Dict[Optional[int], List[Lock]] = {}
    for lock in locks:
        found.setdefault(mount_or_none(lock), []).append(lock)
    return found


def mount_or_none(lock: Lock) -> Optional[int]:
    try:
        return mount_number(lock.descriptor)
    except OSError:  # no descriptor is to be had
        return None


def begin(locks: List[Lock]) -> Optional[threading.Thread]:
    """None: no thread is to be had, and the files stay."""
    thread = threading.Thread(target=lambda: end_each(locks), daemon=True)
    try:
        thread.start()
        return thread
    except RuntimeError:
        for lock in locks:
            lock.close()
        return None


def end_each(locks: List[Lock]) -> None:
    for lock in locks:
        try:
            end(lock)
        except OSError:
            pass  # it stays, and is free when the process has ended


def end(lock: Lock) -> None:
    again = reopened(lock)
    os.close(lock.descriptor)
    try:
        if again is not None and lock_file(again) and lock.place.is_name_of(again):
            unlink_if_there(lock.staged)
            os.unlink(lock.place.name, dir_fd=lock.place.directory)
            os.fsync(lock.place.directory)
    finally:
        if again is not None:
            os.close(again)
        os.close(lock.place.directory)


def reopened(lock: Lock) -> Optional[int]:
    """Before the file is closed: as long as it is open, no other one has its inode. None: it is to stay."""
    if not lock.says_holder and os.fstat(lock.descriptor).st_size > 0:
        return None
    try:
        again = lock.place.open(os.O_RDWR)
    except OSError:
        return None
    if os.path.samestat(os.fstat(again), os.fstat(lock.descriptor)):
        return again
    os.close(again)
    return None
