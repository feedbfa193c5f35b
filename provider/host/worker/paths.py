"""Directories by their paths: opened part by part, so that nobody who may write in one of them can redirect us by a link."""

import errno
import os
import stat
from contextlib import contextmanager
from typing import FrozenSet, Iterator, List, Optional, Tuple

from worker.errors import Failure

DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

#: As many as the kernel follows (path_resolution(7)).
LINKS_AT_MOST = 40

PART_FLAGS = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def open_directory(path: bytes) -> int:
    with walking(path) as walk:
        walk.enter(path)
        return walk.opened()


def open_above(path: bytes, follow: bool) -> Tuple[int, bytes]:
    """The directory of a path, and its last name there. With `follow` that is no link: what the path leads to.

    A path without a last name, as `/`, has an empty one.
    """
    with walking(path) as walk:
        above, _, name = path.rpartition(b"/")
        walk.enter(above)
        target = walk.link(name) if follow else None
        while target is not None:
            above, _, name = target.rpartition(b"/")
            walk.enter(b"/" if target.startswith(b"/") and not above else above)
            target = walk.link(name)
        return walk.opened(), name


@contextmanager
def walking(path: bytes) -> Iterator["Walk"]:
    walk = Walk(path)
    try:
        yield walk
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(walk.directory)


class Walk:
    """Where it is by now, and how many links have led there."""

    def __init__(self, shown: bytes) -> None:
        #: For messages.
        self.shown = shown
        self.directory = os.open(b"/", PART_FLAGS)
        self.links = 0

    def opened(self) -> int:
        return os.open(b".", DIRECTORY_FLAGS, dir_fd=self.directory)

    def enter(self, path: bytes) -> None:
        """An absolute path begins at the root, another one where this is."""
        parts = parts_of(path)
        if path.startswith(b"/"):
            self.step(os.open(b"/", PART_FLAGS))
        while parts:
            part = parts.pop()
            target = self.link(part)
            if target is None:
                # O_DIRECTORY mounts what is mounted on demand, which O_PATH alone does not (open(2))
                self.step(os.open(part, PART_FLAGS | os.O_DIRECTORY, dir_fd=self.directory))
                continue
            if target.startswith(b"/"):
                self.step(os.open(b"/", PART_FLAGS))
            parts += parts_of(target)

    def step(self, directory: int) -> None:
        os.close(self.directory)
        self.directory = directory

    def link(self, name: bytes) -> Optional[bytes]:
        """Where this name leads, if it is a link that may be followed; None for all else, also what is not there."""
        try:
            descriptor = os.open(name, PART_FLAGS, dir_fd=self.directory)
        except FileNotFoundError:
            return None
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISLNK(status.st_mode):
                return None
            self.require_trusted(name, status)
            self.links += 1
            if self.links > LINKS_AT_MOST:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), self.shown)
            return os.readlink(b"", dir_fd=descriptor)
        finally:
            os.close(descriptor)

    def require_trusted(self, name: bytes, link: os.stat_result) -> None:
        """Root, this account or its sudo caller put it there, or nobody else may put one there."""
        trusted = trusted_accounts()
        above = os.fstat(self.directory)
        if link.st_uid in trusted or (above.st_uid in trusted and not above.st_mode & 0o022):
            return
        words = "its path has a symbolic link, %s, of the account %d, where others may write" % (os.fsdecode(name), link.st_uid)
        raise Failure("foreign-link", words, self.shown, details={"link": os.fsdecode(name), "owner": link.st_uid})


def parts_of(path: bytes) -> List[bytes]:
    """The first one last."""
    return [part for part in reversed(path.split(b"/")) if part not in (b"", b".")]


def trusted_accounts() -> FrozenSet[int]:
    """Root, this account, and who has become root by sudo(8): each of them may do what this program does."""
    own = os.geteuid()
    by_sudo = os.environ.get("SUDO_UID", "") if own == 0 else ""
    return frozenset([0, own, int(by_sudo) if by_sudo.isdigit() else own])
