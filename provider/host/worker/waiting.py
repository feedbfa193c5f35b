"""Waiting for descriptors, by poll(2): select(2) knows none above 1023, and a worker has more of them."""

import errno
import math
import os
import select
from typing import Iterable, Optional, Set


def ready(seconds: Optional[float], read: Iterable[int] = (), write: Iterable[int] = ()) -> Set[int]:
    """Those that can be read, or written, or have ended; after that many seconds none of them. None: however long it takes."""
    poll = select.poll()
    for descriptor in read:
        poll.register(descriptor, select.POLLIN)
    for descriptor in write:
        poll.register(descriptor, select.POLLOUT)
    found = poll.poll(None if seconds is None else math.ceil(max(0.0, seconds) * 1000))
    if any(event & select.POLLNVAL for _, event in found):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return {descriptor for descriptor, _ in found}
