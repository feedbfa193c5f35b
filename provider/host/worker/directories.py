"""Directories that are held open, so that names in them keep their meaning."""

import os
import stat
from typing import Iterator, List

from worker.errors import Details, Failure
from worker.paths import open_directory
from worker.places import sync_descriptor, using_place
from worker.requests import Request, operation
from worker.text import to_text
from worker.trust import kind_of


@operation("directory-open")
def hold_directory(request: Request) -> Details:
    """With `private` it must be ours, and nobody else's to write or search."""
    path = request.arguments.path("path")
    descriptor = open_directory(path)
    try:
        if request.arguments.flag("private"):
            require_private(descriptor, path)
    except BaseException:
        os.close(descriptor)
        raise
    number = request.state.directories.add(descriptor)
    request.unless_answered(lambda: request.state.directories.close(number))
    return {"directory": number}


def require_private(descriptor: int, shown: bytes) -> None:
    status = os.fstat(descriptor)
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid != os.geteuid():
        details = {"owner": status.st_uid, "expected": os.geteuid()}
        raise Failure("foreign-owner", "it belongs to the account %d" % status.st_uid, shown, details=details)
    if mode & 0o077:
        details = {"mode": mode, "forbidden": 0o077}
        raise Failure("wrong-mode", "others may use it: its mode is %03o" % mode, shown, details=details)


@operation("directory-close")
def close_directory(request: Request) -> Details:
    request.state.directories.close(request.arguments.whole("directory"))
    return {}


@operation("directory-make", changes=True)
def make_directory(request: Request) -> Details:
    """With mode 0700, durable. An existing name is an error."""
    with using_place(request) as place:
        os.mkdir(place.name, 0o700, dir_fd=place.directory)
        sync_descriptor(place.directory, place.shown)
    return {}


@operation("directory-remove", changes=True)
def remove_directory(request: Request) -> Details:
    """An empty one, durable."""
    with using_place(request) as place:
        os.rmdir(place.name, dir_fd=place.directory)
        sync_descriptor(place.directory, place.shown)
    return {}


@operation("directory-list")
def list_directory(request: Request) -> Details:
    """Names with their kinds. More than `limit` is an error and not a shorter list."""
    limit = request.arguments.whole("limit")
    entries: List[Details] = []
    with request.state.directories.using(request.arguments.whole("directory")) as descriptor:
        for name in names_in(descriptor):
            if len(entries) == limit:
                raise Failure("too-large", "it has more than %d names" % limit, details={"limit": limit})
            try:
                status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            except FileNotFoundError:
                continue
            entries.append({"name": to_text(name), "kind": kind_of(status)})
    return {"entries": entries}


def names_in(descriptor: int) -> Iterator[bytes]:
    """One after the other: somebody else may have made more of them than there is memory for."""
    with os.scandir(b"/proc/self/fd/%d" % descriptor) as found:
        for entry in found:
            yield entry.name


@operation("directory-sync", changes=True)
def sync_directory(request: Request) -> Details:
    with request.state.directories.using(request.arguments.whole("directory")) as descriptor:
        sync_descriptor(descriptor, b"")
    return {}


#: Number.MAX_SAFE_INTEGER
MOST_BYTES = 2 ** 53 - 1


@operation("directory-space")
def space(request: Request) -> Details:
    """What an account without privileges can still write there."""
    with request.state.directories.using(request.arguments.whole("directory")) as descriptor:
        return {"freeBytes": free_bytes(os.fstatvfs(descriptor))}


def free_bytes(found: os.statvfs_result) -> int:
    """A network file system may say that it has all that a number can hold: more than a number of JavaScript's holds is not told."""
    return min(found.f_bavail * found.f_frsize, MOST_BYTES)
