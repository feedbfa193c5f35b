"""What the requests of one worker share."""

import threading
import time
from typing import TYPE_CHECKING, List

from worker.handles import Descriptors, Handles
from worker.lock_table import Locks
from worker.wire import Outlet

if TYPE_CHECKING:
    from worker.locks import Lock
    from worker.monitor import Monitor

#: For the removal of the locks' files at the end. What is not removed by then stays, and its lock is free when the worker has ended.
LOCK_SECONDS_AT_MOST = 10.0


class State:
    def __init__(self, outlet: Outlet) -> None:
        self.outlet = outlet
        #: The account's own, for the scripts that it runs.
        self.umask = 0o022
        self.directories = Descriptors("directory")
        self.files = Descriptors("file")
        self.locks = Locks("lock")
        self.monitors: "Handles[Monitor]" = Handles("monitor")

    def end(self) -> None:
        """Monitors first: what is sent behind a lock that is gone would be another run's damage."""
        for monitor in self.monitors.take_all():
            monitor.close()
        self.files.close_all()
        self.directories.close_all()
        end_side_by_side(self.locks.take_all())


def end_side_by_side(locks: "List[Lock]") -> None:
    """A file system that hangs keeps neither the other locks nor the worker."""
    threads = [threading.Thread(target=lock.end, daemon=True) for lock in locks]
    for lock, thread in zip(locks, threads):
        try:
            thread.start()
        except RuntimeError:  # no thread is to be had
            lock.end()
    deadline = time.monotonic() + LOCK_SECONDS_AT_MOST
    for thread in threads:
        if thread.ident is not None:
            thread.join(max(0.0, deadline - time.monotonic()))
