"""The worker's main loop: it reads what the client says, and ends when nobody says anything any more."""

import json
import os
import signal
import sys
import time
from typing import Any, Dict

# Modules with operations: to import them is to have them.
import worker.attributes  # noqa: F401
import worker.changes  # noqa: F401
import worker.children  # noqa: F401
import worker.conversations  # noqa: F401
import worker.copying  # noqa: F401
import worker.directories  # noqa: F401
import worker.files  # noqa: F401
import worker.finding  # noqa: F401
import worker.guest_process  # noqa: F401
import worker.holders  # noqa: F401
import worker.libvirt_switches  # noqa: F401
import worker.link_users  # noqa: F401
import worker.lock_ends  # noqa: F401
import worker.lock_operations  # noqa: F401
import worker.looking  # noqa: F401
import worker.making  # noqa: F401
import worker.monitors  # noqa: F401
import worker.scripts  # noqa: F401
import worker.switches  # noqa: F401
from worker.errors import Failure
from worker.fork_client import ForkServer
from worker.limits import OPEN_FILES
from worker.processes import boot_id, machine
from worker.requests import Requests
from worker.state import State
from worker.wire import Inlet, Outlet

#: Raised with every change of the protocol. The client sends the program, so the two always match; it is for logs.
VERSION = 3

#: Without a word for that long the client is gone, also where no FIN tells it. The client says a word every 10 s.
SILENCE_SECONDS_AT_MOST = 30.0

#: time.CLOCK_BOOTTIME has its name from Python 3.7 on. It goes on while the machine sleeps (clock_gettime(2)).
CLOCK_BOOTTIME = 7

TICK_SECONDS = 1.0


class Main:
    def __init__(self, silence_seconds: float) -> None:
        self.silence_seconds = silence_seconds
        umask = os.umask(0o077)  # this and the limit are the fork server's children's, too
        OPEN_FILES.take_all()
        fork_server = ForkServer()
        fork_server.start()
        self.inlet = Inlet(0)
        self.outlet = Outlet(1)
        self.state = State(self.outlet, fork_server)
        self.state.umask = umask
        self.requests = Requests(self.state)
        self.is_asked_to_end = False
        self.heard = time.clock_gettime(CLOCK_BOOTTIME)

    def run(self) -> None:
        self._prepare()
        self.outlet.send_now({"hello": hello()})
        try:
            while not self._is_over():
                # Read before the clock is looked at: a worker that was stopped finds the words that came meanwhile.
                for line in self.inlet.lines(min(TICK_SECONDS, self.silence_seconds)):
                    self._take(line)
                self.requests.look_after()
        finally:  # also where no thread is to be had: nothing ends in the middle of a change
            self._end()

    def _end(self) -> None:
        self._say_why()
        self.outlet.stop_waiting()
        self.requests.end()
        self.state.end()
        self.outlet.close(1)

    def _prepare(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask_to_end)
        for number in (signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)

    def _ask_to_end(self, *_: Any) -> None:
        self.is_asked_to_end = True

    def _is_over(self) -> bool:
        return self.inlet.is_over or self.is_asked_to_end or self._silence() > self.silence_seconds

    def _silence(self) -> float:
        return time.clock_gettime(CLOCK_BOOTTIME) - self.heard

    def _say_why(self) -> None:
        """For a client that is still there. The end of the input needs no word."""
        if self.is_asked_to_end:
            say("it was asked to end by a signal")
        elif self._silence() > self.silence_seconds:
            say("it has heard nothing for %d s" % self._silence())

    def _take(self, line: bytes) -> None:
        self.heard = time.clock_gettime(CLOCK_BOOTTIME)
        try:
            message = json.loads(line.decode("utf-8", "surrogatepass"))
            if not isinstance(message, dict):
                raise Failure("bad-request", "a line must be an object")
            if "cancel" in message:
                self.requests.cancel(message["cancel"])
            elif "to" in message:
                self.requests.give(message["to"], message.get("input"))
            elif "op" in message:
                self.requests.begin(message)
        except (ValueError, TypeError, Failure) as reason:
            self.outlet.send_now({"fault": str(reason)})


def say(words: str) -> None:
    try:
        os.write(2, words.encode("ascii") + b"\n")
    except OSError:  # nobody reads it
        pass


def hello() -> Dict[str, Any]:
    return {
        "version": VERSION,
        "python": "%d.%d.%d" % sys.version_info[:3],
        "bootId": boot_id(),
        "machine": machine(),
        "uid": os.geteuid(),
        "pid": os.getpid(),
    }


def main(silence_seconds: float = SILENCE_SECONDS_AT_MOST) -> None:
    Main(silence_seconds).run()
    # Who waits for the end of its outputs must not wait for a thread that hangs in the kernel: no process ends before its last thread.
    nothing = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    # Not by return: a thread that hangs in a read of a dead mount must not keep the process.
    os._exit(0)
