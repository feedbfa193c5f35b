"""Work that outlives the worker: a child that it forks does it, and tells what it came to through a pipe.

The child has copies of all that the worker has open, and keeps of them what it is told to: a lock among these lasts until the child has
ended too. It has none of the worker's threads, and therefore may use nothing that they lock: outlet, monitors, handles.
"""

import json
import os
import signal
from typing import Callable, Optional, Set

from worker.errors import Details, Failure, outcome_of
from worker.text import to_bytes
from worker.wire import write_all

Work = Callable[[], Details]

#: Of the session that has started the worker, and of the client's end.
SIGNALS_OF_A_SESSION = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


def forked(work: Work, keep: Set[int]) -> Optional[Details]:
    """What it returned, or its failure. None: the child died before it could tell."""
    told, teller = os.pipe()
    try:
        pid = os.fork()
        if pid == 0:
            be_child(work, teller, keep)
    except BaseException:
        os.close(told)
        raise
    finally:
        os.close(teller)
    try:
        said = read_to_end(told)
    finally:
        os.close(told)
        wait_for(pid)
    return understood(said)


def wait_for(pid: int) -> None:
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:  # who started the worker ignores SIGCHLD: it is gone by itself (waitpid(2))
        pass


def be_child(work: Work, teller: int, keep: Set[int]) -> None:
    """Never returns."""
    try:
        leave_session(keep | {teller})
        write_all(teller, json.dumps(outcome_of(work)).encode("ascii") + b"\n")
    finally:
        os._exit(0)


def leave_session(keep: Set[int]) -> None:
    """sshd waits for the last one that has its channel open; sudo and a terminal signal the whole session."""
    os.setsid()
    for number in SIGNALS_OF_A_SESSION:
        signal.signal(number, signal.SIG_IGN)
    nothing = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    for descriptor in [int(name) for name in os.listdir("/proc/self/fd")]:
        if descriptor > 2 and descriptor not in keep:
            close_quietly(descriptor)


def close_quietly(descriptor: int) -> None:
    try:
        os.close(descriptor)
    except OSError:  # the directory's own, which is closed already
        pass


def read_to_end(descriptor: int) -> bytes:
    pieces = b""
    while True:
        piece = os.read(descriptor, 65536)
        if not piece:
            return pieces
        pieces += piece


def understood(said: bytes) -> Optional[Details]:
    """A line that is not whole is nothing: it died in the middle of it."""
    if not said.endswith(b"\n"):
        return None
    outcome: Details = json.loads(said.decode("ascii"))
    if "error" in outcome:
        raise from_json(outcome["error"])
    result: Details = outcome["result"]
    return result


def from_json(error: Details) -> Failure:
    path = error["path"]
    return Failure(error["name"], error["message"], None if path is None else to_bytes(path), error["errno"], error["details"])
