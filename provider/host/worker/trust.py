"""Files that are trusted: regular, of the owner that a file made there has, and not writable by others."""

import os
import stat
from contextlib import contextmanager
from typing import Iterator

from worker.errors import Failure
from worker.places import Place


def require_regular(status: os.stat_result, shown: bytes) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise Failure("not-regular", "it is not a regular file", shown, details={"kind": kind_of(status)})


def require_trusted(place: Place, status: os.stat_result, forbidden_mode: int = 0o022) -> None:
    """Refuses what another account could have written. `forbidden_mode` has the mode bits that may not be set."""
    require_regular(status, place.shown)
    if stat.S_IMODE(status.st_mode) & forbidden_mode:
        raise Failure(
            "wrong-mode",
            "others may use it: its mode is %03o" % stat.S_IMODE(status.st_mode),
            place.shown,
            details={"mode": stat.S_IMODE(status.st_mode), "forbidden": forbidden_mode},
        )
    if status.st_uid == os.geteuid():
        return
    try:
        expected = owner_of_new_file(place)
    except OSError:  # nothing can be made there: a file system that is read-only, or full
        expected = os.geteuid()
    if status.st_uid != expected:
        raise Failure(
            "foreign-owner",
            "it belongs to the account %d, a file made there to %d" % (status.st_uid, expected),
            place.shown,
            details={"owner": status.st_uid, "expected": expected},
        )


def owner_of_new_file(place: Place) -> int:
    """An NFS server may give root's files another owner (root_squash, exports(5)). Only a file made there tells."""
    name = b".livedisk-owner-" + os.urandom(8).hex().encode("ascii")
    probe = Place(place.directory, name, place.shown)
    descriptor = probe.open(os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        return os.fstat(descriptor).st_uid
    finally:
        os.close(descriptor)
        os.unlink(name, dir_fd=place.directory)


def kind_of(status: os.stat_result) -> str:
    kinds = {
        stat.S_IFREG: "file",
        stat.S_IFDIR: "directory",
        stat.S_IFLNK: "link",
        stat.S_IFBLK: "block-device",
        stat.S_IFCHR: "character-device",
        stat.S_IFIFO: "fifo",
        stat.S_IFSOCK: "socket",
    }
    return kinds.get(stat.S_IFMT(status.st_mode), "other")


@contextmanager
def opened(place: Place, flags: int) -> Iterator[int]:
    """An existing file, whatever it is: what it is must be asked of the descriptor."""
    descriptor = place.open(flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read_at_most(descriptor: int, limit: int, shown: bytes) -> bytes:
    """The whole file. A longer one is refused before it is read, one that grows meanwhile as soon as it does."""
    pieces = []
    left = limit + 1
    while left > 0:
        piece = os.read(descriptor, min(left, 1 << 20))
        if not piece:
            break
        pieces.append(piece)
        left -= len(piece)
    if left <= 0:
        raise Failure("too-large", "it has more than %d bytes" % limit, shown, details={"limit": limit})
    return b"".join(pieces)
