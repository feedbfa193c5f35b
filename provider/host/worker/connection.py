"""One connection to a QEMU's monitor: made and greeted, and commands written to it as a whole or not at all."""

import errno
import json
import os
import socket
import stat
import struct
import time
from typing import Any, Callable, List, NamedTuple, Optional, Tuple

from worker.errors import Details, Failure, system_failure
from worker.messages import Message, Messages
from worker.paths import DIRECTORY_FLAGS
from worker.processes import is_alive, start_time
from worker.waiting import ready

#: sun_path, unix(7)
SOCKET_PATH_BYTES_AT_MOST = 107

#: How often a command that waits asks whether it was cancelled.
TICK_SECONDS = 0.1


class Peer(NamedTuple):
    """Who made the socket: QEMU, or libvirtd where it hands QEMU one that listens (SO_PEERCRED, unix(7))."""

    pid: int
    start_time: Optional[int]


class Connection:
    """Connected and ready for commands."""

    def __init__(self, path: bytes, deadline_seconds: float, check: Callable[[], None] = lambda: None) -> None:
        """`check` is called while a greeting is waited for, and ends the waiting by raising."""
        deadline = time.monotonic() + deadline_seconds
        stream = connect(path, deadline)
        self._have(path, stream, peer_of(stream))
        try:
            self._begin(deadline, check)
        except BaseException:
            self.stream.close()
            raise

    def _have(self, path: bytes, stream: socket.socket, peer: Peer) -> None:
        self.path = path
        self.stream = stream
        self.peer = peer
        self.messages = Messages(stream)
        self.is_closed = False
        #: What came before the greeting's answer.
        self.early: List[Message] = []

    def __reduce__(self) -> Tuple[Any, ...]:
        """To a child, which has its descriptor by the same number."""
        return continued, (self.path, self.stream.fileno(), self.peer, self.messages.left())

    def closed(self) -> Failure:
        """The end of the connection alone is not QEMU's: who it was, and whether it still runs, is told with it."""
        return Failure("monitor-closed", "the monitor's connection has ended", self.path, details=self.ending())

    def standing(self) -> Details:
        pid, started = self.peer
        return {"pid": pid, "startTime": started, "isAlive": is_alive(pid, started)}

    def ending(self) -> Details:
        """How the connection ended, if it has."""
        return dict(self.standing(), why=self.messages.over or "ended", said=self.messages.said.decode("utf-8", "replace"))

    def send(self, messages: List[Message], check: Callable[[], None] = lambda: None) -> None:
        """A QEMU that is stopped reads nothing. Giving up in the middle of them ends the connection, which is out of step."""
        whole = b"".join(json.dumps(message).encode("ascii") + b"\n" for message in messages)
        data = memoryview(whole)
        while data:
            if self.is_closed:
                raise self.closed()
            try:
                check()
            except BaseException:
                if len(data) < len(whole):
                    self.shut()
                raise
            try:
                data = data[self.stream.send(data):]
            except BlockingIOError:
                ready(TICK_SECONDS, write=[self.stream.fileno()])
            except OSError:
                raise self.closed() from None

    def shut(self) -> None:
        self.is_closed = True
        try:
            self.stream.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def returned(self, command: str, reply: Message) -> object:
        """What QEMU returns, or its refusal."""
        if "error" in reply:
            error = reply["error"]
            words = error.get("desc", "")
            raise Failure("qmp", words, self.path, details={"class": error.get("class"), "words": words, "command": command})
        return reply.get("return")

    def _begin(self, deadline: float, check: Callable[[], None]) -> None:
        """QEMU greets its first client only, and lets others wait: no greeting means that another one has the monitor.

        What is no event and no reply, which may be to a former client, is no monitor's.
        """
        number = os.urandom(8).hex()
        self._first(deadline, check, lambda message: "QMP" in message)
        self.send([{"execute": "qmp_capabilities", "id": number}])
        self._first(deadline, check, lambda message: message.get("id") == number)

    def _first(self, deadline: float, check: Callable[[], None], wanted: Callable[[Message], bool]) -> Message:
        while not self.messages.over:
            check()
            left = deadline - time.monotonic()
            if left <= 0:
                raise Failure("busy", "it does not answer; another client may have it", self.path, details=self.standing())
            for message in self.messages.read(min(left, TICK_SECONDS)):
                if wanted(message):
                    return message
                if not {"event", "return", "error", "QMP"} & set(message):
                    raise self._no_monitor(json.dumps(message)[:60])
                self.early.append(message)
        if self.messages.over == "not-json":
            raise self._no_monitor(self.messages.said.decode("utf-8", "replace"))
        raise self.closed()

    def _no_monitor(self, said: str) -> Failure:
        return Failure("no-monitor", "it is no QMP monitor", self.path, details={"said": said})


def continued(path: bytes, descriptor: int, peer: Peer, left: bytes) -> Connection:
    """One that another process has begun."""
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, descriptor)
    stream.setblocking(False)
    connection = Connection.__new__(Connection)
    connection._have(path, stream, peer)
    connection.messages.go_on(left)
    return connection


def connect(path: bytes, deadline: float) -> socket.socket:
    """A path that is too long for an address is reached through its open directory.

    EAGAIN: others wait already for who has it, as many as it lets wait (unix(7)).
    """
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    directory: Optional[int] = None
    try:
        address = path
        if len(path) > SOCKET_PATH_BYTES_AT_MOST:
            above, _, name = path.rpartition(b"/")
            directory = os.open(above, DIRECTORY_FLAGS)
            address = b"/proc/self/fd/%d/%s" % (directory, name)
        stream.setblocking(False)
        while True:
            try:
                stream.connect(address)
                return stream
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Failure("busy", "it takes no connection", path) from None
                time.sleep(TICK_SECONDS)
    except ConnectionRefusedError:
        stream.close()
        if not stat.S_ISSOCK(os.stat(path).st_mode):  # connect(2) answers alike for a socket that nobody listens on
            raise system_failure(OSError(errno.ENOTSOCK, ""), path) from None
        raise
    except BaseException:
        stream.close()
        raise
    finally:
        if directory is not None:
            os.close(directory)


def peer_of(stream: socket.socket) -> Peer:
    pid, _, _ = struct.unpack("3i", stream.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return Peer(pid, start_time(pid))
