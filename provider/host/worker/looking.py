"""What paths lead to: looks that open nothing for reading and hold nothing."""

import os
from typing import Optional

from worker.directories import free_bytes
from worker.errors import Details, Failure
from worker.files import described
from worker.identity import identity_of
from worker.places import showing_path
from worker.requests import Request, operation
from worker.text import to_text


@operation("files-look")
def look(request: Request) -> Details:
    """Several paths at once: for each what `file-status` tells, null where there is nothing. With `follow` of what a link leads to.

    The directories above need not be readable.
    """
    flags = os.O_PATH | os.O_CLOEXEC | (0 if request.arguments.flag("follow") else os.O_NOFOLLOW)
    return {"files": [looked_at(path, flags) for path in request.arguments.paths("paths")]}


def looked_at(path: bytes, flags: int) -> Optional[Details]:
    try:
        descriptor = os.open(path, flags)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return dict(described(os.fstat(descriptor)), identity=identity_of(descriptor))
    finally:
        os.close(descriptor)


@operation("path-resolve")
def resolve(request: Request) -> Details:
    """Without links and dots, by the kernel, which walks the path once: all parts must be there."""
    path = request.arguments.path("path")
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        real = os.readlink(b"/proc/self/fd/%d" % descriptor)
        with showing_path(path):
            if not os.path.samestat(os.stat(real, follow_symlinks=False), os.fstat(descriptor)):
                raise Failure("other-file", "it was renamed or removed while it was looked at", path)
    finally:
        os.close(descriptor)
    return {"path": to_text(real)}


@operation("path-space")
def space(request: Request) -> Details:
    """What an account without privileges can still write there."""
    return {"freeBytes": free_bytes(os.statvfs(request.arguments.path("path")))}
