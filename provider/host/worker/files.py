"""Single files: reading, describing, and the names that they have."""

import os
import stat
from typing import Iterator, Optional, Tuple
from contextlib import contextmanager

from worker.arguments import Arguments
from worker.errors import Details, Failure
from worker.identity import DIFFERENT, SAME, compare, identity_of
from worker.places import Place, using, using_place
from worker.requests import Request, operation
from worker.text import to_base64, to_text
from worker.trust import kind_of, opened, read_at_most, require_regular, require_trusted


@operation("file-read")
def read(request: Request) -> Details:
    """At most `limit` bytes. With `trust` it must be a file that no other account could have written."""
    with using_place(request) as place:
        return read_from(place, request.arguments.whole("limit"), request.arguments.flag("trust"))


def read_from(place: Place, limit: int, trust: bool) -> Details:
    with opened(place, os.O_RDONLY) as descriptor:
        status = os.fstat(descriptor)
        if trust:
            require_trusted(place, status)
        else:
            require_regular(status, place.shown)
        if status.st_size > limit:
            raise Failure("too-large", "it has %d bytes, more than %d" % (status.st_size, limit), place.shown, details={"limit": limit})
        return dict(described(status), content=to_base64(read_at_most(descriptor, limit, place.shown)))


@operation("file-status")
def status(request: Request) -> Details:
    """Of the name itself: a link is a link. `identity` says what it is beyond the name."""
    with using_place(request) as place, held(place) as descriptor:
        return dict(described(os.fstat(descriptor)), identity=identity_of(descriptor))


def described(found: os.stat_result) -> Details:
    return {
        "kind": kind_of(found),
        "sizeBytes": found.st_size,
        "allocatedBytes": found.st_blocks * 512,
        "modifiedNs": str(found.st_mtime_ns),
        "mode": stat.S_IMODE(found.st_mode),
        "owner": found.st_uid,
        "group": found.st_gid,
        "links": found.st_nlink,
    }


@contextmanager
def held(place: Place) -> Iterator[int]:
    """The file itself, without reading it: for FIFOs, links, and what this account may not read."""
    descriptor = os.open(place.name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place.directory)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def require_identity(request: Request, place: Place, expected: Optional[Details]) -> None:
    """Unknown is a refusal like different."""
    if expected is None:
        return
    with held(place) as descriptor:
        require_same(request, place, descriptor, expected)


def require_same(request: Request, place: Place, descriptor: int, expected: Optional[Details]) -> None:
    """Of the file that is open, for what is done to it by the descriptor."""
    if expected is None:
        return
    found = compared(request, descriptor, Arguments(expected))
    if found != SAME:
        raise Failure("other-file", "it is not proved to be the expected file", place.shown, details={"compared": found})


def compared(request: Request, descriptor: int, expected: Arguments) -> str:
    """With an identity; with `{"file": number}`: while a file is held open no other one can have its inode, on any file system.

    Or with `{"dev", "ino"}`, of a file that was just looked at.
    """
    if expected.has("dev"):
        status = os.fstat(descriptor)
        seen = (expected.text("dev"), expected.text("ino"))
        return SAME if (str(status.st_dev), str(status.st_ino)) == seen else DIFFERENT
    if not expected.has("file"):
        return compare(identity_of(descriptor), expected.values)
    with request.state.files.using(expected.whole("file")) as file:
        return SAME if os.path.sameopenfile(descriptor, file) else DIFFERENT


@contextmanager
def from_and_to(request: Request) -> Iterator[Tuple[int, int, bytes]]:
    """Two regular files, and how the first is shown: `from` to read, `to` to write, the expected one where the request names one."""
    arguments = request.arguments
    with reading(request) as (source, shown), using(request, "to", arguments.mapping("to")) as new:
        with opened(new, os.O_RDWR) as target:
            require_regular(os.fstat(source), shown)
            require_regular(os.fstat(target), new.shown)
            require_same(request, new, target, arguments.optional_mapping("expected"))
            yield source, target, shown


@contextmanager
def reading(request: Request) -> Iterator[Tuple[int, bytes]]:
    """The file `from`, and how it is shown. One that is held open is opened once more: offset and flags are its own then (proc(5), fd)."""
    origin = Arguments(request.arguments.mapping("from"))
    if not origin.has("file"):
        with using(request, "from", origin.values) as place, opened(place, os.O_RDONLY) as descriptor:
            yield descriptor, place.shown
        return
    with request.state.files.using(origin.whole("file")) as file:
        link = b"/proc/self/fd/%d" % file
        shown = os.readlink(link)
        descriptor = os.open(link, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor, shown
    finally:
        os.close(descriptor)


@operation("link-read")
def read_link(request: Request) -> Details:
    with using_place(request) as place:
        return {"target": to_text(os.readlink(place.name, dir_fd=place.directory))}


@operation("file-open")
def open_file(request: Request) -> Details:
    """Held open from before the first write: only such a descriptor is told every write-back error (fsync(2), errseq).

    What it is comes with it.
    """
    with using_place(request) as place:
        descriptor = place.open(os.O_RDONLY)
        try:
            found = os.fstat(descriptor)
            require_regular(found, place.shown)
            identity = identity_of(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
    number = request.state.files.add(descriptor)
    request.unless_answered(lambda: request.state.files.close(number))
    return dict(described(found), file=number, identity=identity)


@operation("file-sync", changes=True)
def sync_file(request: Request) -> Details:
    with request.state.files.using(request.arguments.whole("file")) as descriptor:
        os.fsync(descriptor)
    return {}


@operation("file-close")
def close_file(request: Request) -> Details:
    request.state.files.close(request.arguments.whole("file"))
    return {}
