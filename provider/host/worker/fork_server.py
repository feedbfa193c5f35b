"""Work that outlives the worker: a child does it, and tells how it goes on, and what it came to.

The child has the descriptors that the work needs, by the same numbers, and none of the worker's others: their locks would last until it has
ended, and a close waits for its file system (FUSE and NFS flush then), which may hang. So the worker does not fork it. A process does that
the worker has forked before it opened anything: the fork server.
"""

import json
import os
import pickle
import signal
import socket
import struct
from typing import Callable, List, Optional, Set

from worker.errors import Details, Failure, outcome_of
from worker.text import to_bytes
from worker.wire import write_all

#: How it goes on, for who waits. It never fails, and nobody waits for a reader.
Tell = Callable[[Details], None]

#: Sent to the child: functions of modules, `functools.partial` of these, and values that can be pickled. Descriptors are numbers in it.
Work = Callable[[Tell], Details]

#: Of the session that has started the worker, and of the client's end.
SIGNALS_OF_A_SESSION = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)

#: How many descriptors the work has, and how many bytes.
HEAD = struct.Struct("=II")
NUMBER = struct.Struct("=i")

READY, GO = b"r", b"g"


class NoProcess(Exception):
    """None is to be had, and nothing was begun."""


class ForkServer:
    """The worker's end of it. Before `start`, or where nothing can be forked, it has no child to give."""

    def __init__(self) -> None:
        self.requests: Optional[socket.socket] = None
        #: Until a child is ready: the fork server may be stopped.
        self.begin_seconds_at_most = 5.0

    def start(self) -> None:
        """Before the worker opens anything, and begins a thread. It ends with the worker."""
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
                serve(theirs, ours)
        self.requests = ours

    def carry(self, work: Work, keep: Set[int], tell: Tell) -> Optional[Details]:
        """What it returned, or its failure. None: the child died before it could tell. @raise NoProcess"""
        with self._begun(work, keep) as conversation:
            outcome = listen(conversation, tell)
        return None if outcome is None else understood(outcome)

    def _begun(self, work: Work, keep: Set[int]) -> socket.socket:
        """It begins by the last word alone: one that comes too late finds that nobody waits for it, and does nothing."""
        if self.requests is None:
            raise NoProcess()
        conversation: Optional[socket.socket] = None
        try:
            conversation, theirs = socket.socketpair()
            with theirs:
                send_descriptor(self.requests, theirs.fileno(), socket.MSG_DONTWAIT)
            conversation.settimeout(self.begin_seconds_at_most)
            send_work(conversation, work, sorted(keep))
            if conversation.recv(1) != READY:
                raise NoProcess()
            conversation.settimeout(None)
            conversation.sendall(GO)
            return conversation
        except BaseException as reason:
            if conversation is not None:
                conversation.close()
            if isinstance(reason, OSError):
                raise NoProcess() from None
            raise


def send_descriptor(stream: socket.socket, descriptor: int, flags: int = 0) -> None:
    """With one byte, since a descriptor does not come alone (unix(7))."""
    stream.sendmsg([b"d"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, NUMBER.pack(descriptor))], flags)


def receive_descriptor(stream: socket.socket) -> Optional[int]:
    """By the lowest number that is free. None: nobody sends any more."""
    byte, ancillary, _, _ = stream.recvmsg(1, socket.CMSG_SPACE(NUMBER.size), socket.MSG_CMSG_CLOEXEC)
    if not byte:
        return None
    ((_, _, data),) = ancillary
    (descriptor,) = NUMBER.unpack(data)
    return int(descriptor)


def send_work(stream: socket.socket, work: Work, keep: List[int]) -> None:
    data = pickle.dumps(work, protocol=4)
    stream.sendall(HEAD.pack(len(keep), len(data)) + b"".join(NUMBER.pack(number) for number in keep))
    for number in keep:
        send_descriptor(stream, number)
    stream.sendall(data)


def receive_work(stream: socket.socket) -> Work:
    count, length = HEAD.unpack(receive(stream, HEAD.size))
    numbers = [number for (number,) in NUMBER.iter_unpack(receive(stream, count * NUMBER.size))]
    for number in numbers:
        fill_below(number)
        if receive_descriptor(stream) != number:
            raise EOFError
    work: Work = pickle.loads(receive(stream, length))
    return work


def receive(stream: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        piece = stream.recv(count - len(data))
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)


def fill_below(number: int) -> None:
    """So that the next descriptor gets this number: to move it there would leave a second one, and no close is free."""
    while True:
        taken = os.dup(0)
        if taken >= number:
            os.close(taken)
            return


def serve(requests: socket.socket, other: socket.socket) -> None:
    """Never returns. `other` is the worker's end: by its number nothing else can be open there."""
    try:
        number = other.detach()
        os.close(number)
        leave_session()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # none is waited for
        while True:
            conversation = receive_descriptor(requests)
            if conversation is None:
                return
            if fork_or_none() == 0:
                requests.close()
                be_child(conversation, number)
            os.close(conversation)
    finally:
        os._exit(0)


def fork_or_none() -> Optional[int]:
    try:
        return os.fork()
    except OSError:
        return None


def leave_session() -> None:
    """sshd waits for the last one that has its channel open; sudo and a terminal signal the whole session."""
    os.setsid()
    for number in SIGNALS_OF_A_SESSION:
        signal.signal(number, signal.SIG_IGN)
    nothing = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    if nothing > 2:
        os.close(nothing)


def be_child(conversation: int, number: int) -> None:
    """Never returns. By the lowest number its end is told first: the close of what it works on may hang."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if conversation != number:
            os.dup2(conversation, number, inheritable=False)
            os.close(conversation)
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, number)
        work = receive_work(stream)
        stream.sendall(READY)
        if stream.recv(1) == GO:
            os.setsid()
            write_all(number, line_of(outcome_of(lambda: work(lambda values: tell_on_the_way(number, values)))))
    finally:
        os._exit(0)


def tell_on_the_way(teller: int, values: Details) -> None:
    """What has no room is not told: the worker is stopped. So short a line is written whole or not at all (one buffer, unix(7))."""
    os.set_blocking(teller, False)
    try:
        os.write(teller, line_of({"event": values}))
    except OSError:  # nobody reads any more: the worker is gone
        pass
    finally:
        os.set_blocking(teller, True)


def line_of(values: Details) -> bytes:
    return json.dumps(values).encode("ascii") + b"\n"


def listen(conversation: socket.socket, tell: Tell) -> Optional[Details]:
    """Its outcome. A line that is not whole is nothing: it died in the middle of it."""
    outcome: Optional[Details] = None
    with conversation.makefile("rb") as lines:
        try:
            for line in lines:
                said: Details = json.loads(line.decode("ascii")) if line.endswith(b"\n") else {}
                if "event" in said:
                    tell(said["event"])
                elif said:
                    outcome = said
        except ConnectionResetError:
            pass  # it died before it read all
    return outcome


def understood(outcome: Details) -> Details:
    if "error" in outcome:
        raise from_json(outcome["error"])
    result: Details = outcome["result"]
    return result


def from_json(error: Details) -> Failure:
    path = error["path"]
    return Failure(error["name"], error["message"], None if path is None else to_bytes(path), error["errno"], error["details"])
