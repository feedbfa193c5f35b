"""What the requests of one worker share."""

from typing import TYPE_CHECKING

from worker.fork_client import ForkServer
from worker.handles import Descriptors, Handles
from worker.lock_table import Locks
from worker.wire import Outlet

if TYPE_CHECKING:
    from worker.monitor import Monitor


class State:
    def __init__(self, outlet: Outlet, fork_server: ForkServer) -> None:
        self.outlet = outlet
        self.fork_server = fork_server
        #: The account's own, for the scripts that it runs.
        self.umask = 0o022
        self.directories = Descriptors("directory")
        self.files = Descriptors("file")
        self.locks = Locks("lock")
        self.monitors: "Handles[Monitor]" = Handles("monitor")

    def end(self) -> None:
        """Monitors first: what is sent behind a lock that is gone would be another run's damage."""
        from worker.lock_ends import end_locks  # by its places it needs this module

        for monitor in self.monitors.take_all():
            try:
                monitor.close()
            except OSError:
                pass  # it was shut before, and its descriptors end with the process
        # A close may wait for a file system that hangs: what else is open is closed by the process's end.
        end_locks(self.locks.take_all())
