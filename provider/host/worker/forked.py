"""Work that outlives the worker: a child that it forks does it, and tells through a pipe how it goes on, and what it came to.

The child has copies of all that the worker has open, and keeps of them what it is told to: a lock among these lasts until the child has
ended too. It has none of the worker's threads, and therefore may use nothing that they lock: outlet, monitors, handles.
"""

import json
import os
import signal
from typing import Callable, Optional, Set, Tuple

from worker.errors import Details, Failure, outcome_of
from worker.text import to_bytes
from worker.wire import write_all

#: How it goes on, for who waits. It never fails, and nobody waits for a reader.
Tell = Callable[[Details], None]
Work = Callable[[Tell], Details]

#: Of the session that has started the worker, and of the client's end.
SIGNALS_OF_A_SESSION = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


def forked(work: Work, keep: Set[int], tell: Tell) -> Optional[Details]:
    """What it returned, or its failure. None: the child died before it could tell. @raise NoProcess if nothing was begun"""
    told, teller = pipe()
    try:
        pid = fork()
        if pid == 0:
            be_child(work, teller, keep)
    except BaseException:
        os.close(told)
        raise
    finally:
        os.close(teller)
    try:
        outcome = listen(told, tell)
    finally:
        wait_for(pid)
    return None if outcome is None else understood(outcome)


class NoProcess(Exception):
    """None is to be had, or no pipe to it."""


def pipe() -> Tuple[int, int]:
    try:
        return os.pipe()
    except OSError:
        raise NoProcess() from None


def fork() -> int:
    try:
        return os.fork()
    except OSError:
        raise NoProcess() from None


def wait_for(pid: int) -> None:
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:  # who started the worker ignores SIGCHLD: it is gone by itself (waitpid(2))
        pass


def be_child(work: Work, teller: int, keep: Set[int]) -> None:
    """Never returns."""
    try:
        leave_session(keep | {teller})
        write_all(teller, line_of(outcome_of(lambda: work(lambda values: tell_on_the_way(teller, values)))))
    finally:
        os._exit(0)


def tell_on_the_way(teller: int, values: Details) -> None:
    """What a full pipe has no room for is not told: the worker is stopped. So short a line is written whole or not at all (pipe(7))."""
    os.set_blocking(teller, False)
    try:
        os.write(teller, line_of({"event": values}))
    except OSError:  # nobody reads any more: the worker is gone
        pass
    finally:
        os.set_blocking(teller, True)


def line_of(values: Details) -> bytes:
    return json.dumps(values).encode("ascii") + b"\n"


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


def listen(told: int, tell: Tell) -> Optional[Details]:
    """Its outcome. A line that is not whole is nothing: it died in the middle of it."""
    outcome: Optional[Details] = None
    with open(told, "rb") as stream:
        for line in stream:
            said: Details = json.loads(line.decode("ascii")) if line.endswith(b"\n") else {}
            if "event" in said:
                tell(said["event"])
            elif said:
                outcome = said
    return outcome


def understood(outcome: Details) -> Details:
    if "error" in outcome:
        raise from_json(outcome["error"])
    result: Details = outcome["result"]
    return result


def from_json(error: Details) -> Failure:
    path = error["path"]
    return Failure(error["name"], error["message"], None if path is None else to_bytes(path), error["errno"], error["details"])
