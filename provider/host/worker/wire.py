"""Lines of JSON to and from the client, each of bounded size."""

import json
import os
import threading
from collections import deque
from typing import Any, Deque, Dict, List, Optional

from worker.errors import Failure
from worker.waiting import ready

#: In either direction. What does not fit is a fault of the sender's.
LINE_BYTES_AT_MOST = 16 * 1024 * 1024

#: What waits for a client that does not read. Past that, requests wait before they say more.
QUEUED_BYTES_AT_MOST = 2 * LINE_BYTES_AT_MOST


class Outlet:
    """Writes whole lines in order, by a thread of its own: a client that does not read, or has vanished, never stops the main loop."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.changed = threading.Condition()
        self.queue: Deque[bytes] = deque()
        self.queued = 0
        self.is_ending = False
        self.is_closed = False
        threading.Thread(target=self._write, daemon=True).start()

    def send(self, message: Dict[str, Any]) -> None:
        """Waits for room. For the threads of requests."""
        line = encode(message)
        with self.changed:
            self.changed.wait_for(lambda: self.is_ending or self.queued < QUEUED_BYTES_AT_MOST)
            if self.queued < QUEUED_BYTES_AT_MOST:
                self._append(line)

    def send_now(self, message: Dict[str, Any]) -> None:
        """Never waits. For the main loop, whose messages are few and short."""
        line = encode(message)
        with self.changed:
            self._append(line)

    def stop_waiting(self) -> None:
        """From now on nobody waits for a client that may be gone: what does not fit is dropped."""
        with self.changed:
            self.is_ending = True
            self.changed.notify_all()

    def close(self, wait_seconds: float) -> None:
        """Waits until all is written, at most that long. What comes later is dropped."""
        with self.changed:
            self.changed.wait_for(lambda: self.queued == 0 or self.is_closed, wait_seconds)
            self.is_closed = self.is_ending = True
            self.changed.notify_all()

    def _append(self, line: bytes) -> None:
        if not self.is_closed:
            self.queue.append(line)
            self.queued += len(line)
            self.changed.notify_all()

    def _write(self) -> None:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: bool(self.queue))
                line = self.queue.popleft()
            try:
                write_all(self.descriptor, line)
            except OSError:  # the client's end: the end of the input tells it
                self.close(0)
                return
            with self.changed:
                self.queued -= len(line)
                self.changed.notify_all()


def encode(message: Dict[str, Any]) -> bytes:
    line = json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"
    if len(line) > LINE_BYTES_AT_MOST:
        raise Failure("too-large", "the answer is longer than %d bytes" % LINE_BYTES_AT_MOST)
    return line


def write_all(descriptor: int, data: bytes) -> None:
    """Blocks until all is written, also where the other side has made the descriptor non-blocking."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view):]
        except BlockingIOError:
            ready(1, write=[descriptor])


class Inlet:
    """Reads whole lines. It never holds more than one line that is not complete."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.partial = bytearray()
        self.is_over = False

    def lines(self, wait_seconds: float) -> List[bytes]:
        """What has come within that time; sets `is_over` at the end of the input, and at a line that is too long."""
        piece = self._read() if ready(wait_seconds, [self.descriptor]) else None
        if piece is None:
            return []
        self.partial += piece
        if piece == b"" or len(self.partial) > LINE_BYTES_AT_MOST:
            self.is_over = True
            return []
        if b"\n" not in piece:
            return []
        *whole, rest = bytes(self.partial).split(b"\n")
        self.partial = bytearray(rest)
        return whole

    def _read(self) -> Optional[bytes]:
        try:
            return os.read(self.descriptor, 65536)
        except BlockingIOError:
            return None
        except OSError:
            return b""
