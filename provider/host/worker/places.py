"""Names on the host, used only against a directory that is held open: who renames one above changes nothing for us."""

import os
from contextlib import contextmanager
from typing import Any, ContextManager, Dict, Iterator, Optional

from worker.arguments import Arguments, encoded, wrong
from worker.errors import Failure
from worker.paths import open_above
from worker.requests import Request


class Place:
    """A name in an open directory."""

    def __init__(self, directory: int, name: bytes, shown: bytes) -> None:
        self.directory = directory
        self.name = name
        #: For messages.
        self.shown = shown

    def open(self, flags: int, mode: int = 0o600) -> int:
        """Never follows a link as the last part, never waits for a FIFO, never becomes the controlling terminal."""
        return os.open(self.name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, mode, dir_fd=self.directory)

    def status(self) -> os.stat_result:
        return os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)

    def status_or_none(self) -> Optional[os.stat_result]:
        try:
            return self.status()
        except FileNotFoundError:
            return None

    def is_name_of(self, descriptor: int) -> bool:
        """Whether the file that is open has this name now."""
        found = self.status_or_none()
        return found is not None and os.path.samestat(found, os.fstat(descriptor))


@contextmanager
def using_place(request: Request, key: str = "place") -> Iterator[Place]:
    with using(request, key, request.arguments.mapping(key)) as place:
        yield place


@contextmanager
def using(request: Request, key: str, values: Dict[str, Any]) -> Iterator[Place]:
    """`{"directory": number, "name": …}`, or `{"path": …}`, whose directory is opened once, here.

    With `follow` it is what the path leads to.
    """
    arguments = Arguments(values)
    if arguments.has("directory"):
        name = single_name(key, encoded(key, arguments.text("name")))
        with request.state.directories.using(arguments.whole("directory")) as directory:
            yield Place(directory, name, name)
        return
    path = arguments.path("path")
    descriptor, name = open_above(path, arguments.has("follow"))
    try:
        yield Place(descriptor, single_name(key, name), path)
    finally:
        os.close(descriptor)


def showing(place: Place) -> ContextManager[None]:
    return showing_path(place.shown)


@contextmanager
def showing_path(path: bytes) -> Iterator[None]:
    """What the system refuses is told of the whole path."""
    try:
        yield
    except OSError as error:
        error.filename = path
        raise


def single_name(key: str, name: bytes) -> bytes:
    if name in (b"", b".", b"..") or b"/" in name:
        raise wrong(key, "a single name")
    return name


def sync_descriptor(descriptor: int, shown: bytes) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise Failure("system", os.strerror(error.errno), shown, error.errno, {"call": "fsync"}) from None
