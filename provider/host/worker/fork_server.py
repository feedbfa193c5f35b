"""The fork server's own process, and its children (fork_client.py)."""

import json
import os
import signal
import socket
import struct
from typing import Optional

from worker.errors import Details, outcome_of
from worker.handing import receive_descriptor, receive_work
from worker.wire import write_all

#: Of the session that has started the worker, and of the client's end.
SIGNALS_OF_A_SESSION = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)

#: The child's process id, which it says first.
PID = struct.Struct("=i")

#: It can begin; it shall.
READY, GO = b"r", b"g"


def serve(requests: socket.socket, number: int) -> None:
    """Never returns. A child's conversation gets `number`, that of the worker's end of `requests`: no file of the work can have it."""
    try:
        leave_session()
        close_others(requests.fileno())
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # none is waited for
        while serve_one(requests, number):
            pass
    finally:
        os._exit(0)


def serve_one(requests: socket.socket, number: int) -> bool:
    """One that fails is none: whoever waits for it sees the end of its conversation."""
    try:
        conversation = receive_descriptor(requests)
        if conversation is None:
            return False
        if fork_or_none() == 0:
            requests.close()
            be_child(conversation, number)
        os.close(conversation)
    except (OSError, EOFError, MemoryError):
        pass
    return True


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


def close_others(kept: int) -> None:
    """What whoever started the worker has left open, and for a replacement what the worker has opened since."""
    for number in [int(name) for name in os.listdir("/proc/self/fd")]:
        if number > 2 and number != kept:
            try:
                os.close(number)
            except OSError:  # the directory's own, which is closed already
                pass


def be_child(conversation: int, number: int) -> None:
    """Never returns."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if conversation != number:
            os.dup2(conversation, number, inheritable=False)
            os.close(conversation)
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, number)
        stream.sendall(PID.pack(os.getpid()))
        work = receive_work(stream)
        stream.sendall(READY)
        if stream.recv(len(GO)) == GO:
            os.setsid()
            write_all(number, line_of(outcome_of(lambda: work(lambda values: tell_on_the_way(number, values)))))
    finally:
        os._exit(0)


def tell_on_the_way(teller: int, values: Details) -> None:
    """What has no room is not told: the worker is stopped. So short a line is written whole or not at all (one buffer, unix(7))."""
    os.set_blocking(teller, False)
    try:
        os.write(teller, line_of({"event": values}))
    except OSError:  # it has no room, or the worker is gone
        pass
    finally:
        os.set_blocking(teller, True)


def line_of(values: Details) -> bytes:
    return json.dumps(values).encode("ascii") + b"\n"
