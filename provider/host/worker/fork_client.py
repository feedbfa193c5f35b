"""The worker's end of its fork server, for work that outlives the worker: a child does it, and tells how it goes on, and what it came to.

The child has the descriptors that the work needs, by the same numbers, and none of the worker's others: their locks would last until it has
ended, and a close waits for its file system (FUSE and NFS flush then), which may hang. So the worker does not fork it. A process does that
the worker has forked before it opened anything: the fork server.
"""

import json
import os
import socket
import threading
import time
from typing import List, Optional, Set, Tuple

from worker.errors import Details, Failure
from worker.fork_server import GO, PID, READY, serve
from worker.handing import Tell, receive, send_descriptor, send_work
from worker.processes import is_exiting, start_time
from worker.text import to_bytes
from worker.waiting import ready

#: Between two looks whether a child still runs that says nothing.
LOOK_SECONDS = 0.2


class NoProcess(Exception):
    """No child could be started; the work has not begun."""


class ForkServer:
    """The worker's end of it. Before `start`, or where nothing can be forked, it has no child to give."""

    def __init__(self) -> None:
        self.requests: Optional[socket.socket] = None
        self.starting = threading.Lock()
        #: Until a child is ready: the fork server may be stopped, and a guest may wait.
        self.begin_seconds_at_most = 3.0
        #: For the files of a child that has told its outcome.
        self.closing_seconds_at_most = 10.0

    def start(self) -> None:
        """Before the worker opens anything, and begins a thread; again, with all of that, if it has died. It ends with the worker."""
        try:
            ours, theirs = socket.socketpair()
        except OSError:
            return
        with theirs:
            try:
                pid = os.fork()
            except OSError:
                ours.close()
                return
            if pid == 0:
                serve(theirs, ours.fileno())
        self.requests = ours

    def carry(self, work: bytes, keep: Set[int], tell: Tell) -> Optional[Details]:
        """What `packed` work returned, or its failure. None: the child died before it could tell. @raise NoProcess"""
        conversation, pid = self._begun(work, sorted(keep))
        with conversation:
            outcome = self._listen(conversation, pid, tell)
        return None if outcome is None else understood(outcome)

    def _begun(self, work: bytes, keep: List[int]) -> Tuple[socket.socket, int]:
        """The conversation with a child that has started, and its process id. By the order that handing.py lists."""
        try:
            conversation = self._asked()
        except (OSError, MemoryError):
            raise NoProcess() from None
        try:
            deadline = time.monotonic() + self.begin_seconds_at_most
            (pid,) = PID.unpack(receive(conversation, PID.size, deadline))
            send_work(conversation, work, keep, deadline)
            if receive(conversation, len(READY), deadline) != READY:
                raise NoProcess()
            conversation.sendall(GO)
            return conversation, pid
        except BaseException as reason:
            conversation.close()
            if isinstance(reason, (OSError, EOFError, MemoryError)):
                raise NoProcess() from None
            raise

    def _asked(self) -> socket.socket:
        """One that has died is replaced: what is open by then the new one closes, which may take it long."""
        with self.starting:
            for attempt in (1, 2):
                if self.requests is None:
                    break
                ours, theirs = socket.socketpair()
                try:
                    with theirs:
                        send_descriptor(self.requests, theirs.fileno(), socket.MSG_DONTWAIT)
                    return ours
                except BaseException as reason:
                    ours.close()
                    if attempt == 2 or not isinstance(reason, ConnectionError):
                        raise
                self.requests.close()
                self.requests = None
                self.start()
        raise NoProcess()

    def _listen(self, conversation: socket.socket, pid: int, tell: Tell) -> Optional[Details]:
        """Its outcome, once its files are closed, too: until then it holds the images open. A line that is not whole is none.

        Its socket is closed with the last of them, and that may hang. So a dead one is looked for, and one that has told is not waited for
        without an end: from there on no code of its own runs, or none that does anything.
        """
        started: Optional[int] = None
        conversation.setblocking(False)
        partial = b""
        outcome: Optional[Details] = None
        deadline = float("inf")
        while time.monotonic() < deadline:
            started = start_time(pid) if started is None else started
            has_ended = not ready(LOOK_SECONDS, [conversation.fileno()]) and is_exiting(pid, started)
            piece = said_by(conversation)
            *lines, partial = (partial + (piece or b"")).split(b"\n")
            for line in lines:
                said: Details = json.loads(line.decode("ascii"))
                if "event" in said:
                    tell(said["event"])
                else:
                    outcome, deadline = said, time.monotonic() + self.closing_seconds_at_most
            if piece == b"" or (has_ended and piece is None and outcome is None):
                break
        return outcome


def said_by(conversation: socket.socket) -> Optional[bytes]:
    """Empty at its end. None: nothing yet."""
    try:
        return conversation.recv(65536)
    except BlockingIOError:
        return None
    except OSError:  # it died before it read all
        return b""


def understood(outcome: Details) -> Details:
    if "error" in outcome:
        raise from_json(outcome["error"])
    result: Details = outcome["result"]
    return result


def from_json(error: Details) -> Failure:
    path = error["path"]
    return Failure(error["name"], error["message"], None if path is None else to_bytes(path), error["errno"], error["details"])
