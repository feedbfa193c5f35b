"""How many descriptors a process may have open: each lock has two, each program that runs three."""

import resource
from contextlib import suppress
from typing import Optional


class OpenFiles:
    """The worker takes as many as it may. The programs that it runs get what it had: some try each number up to the limit."""

    def __init__(self) -> None:
        self.usual: Optional[int] = None

    def take_all(self) -> None:
        with suppress(OSError, ValueError):
            usual, most = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
            self.usual = usual

    def give_back(self, pid: int) -> None:
        """To a child. Not by code of its own before its program begins: after a fork among threads that may hang (fork(2))."""
        if self.usual is None:
            return
        with suppress(OSError, ValueError):
            _, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (self.usual, most))


OPEN_FILES = OpenFiles()
