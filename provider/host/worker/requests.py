"""Requests: each runs in a thread of its own, has an id, can be cancelled, tells its progress, and ends in one reply."""

import errno
import os
import threading
import time
from collections import deque
from typing import Any, Callable, Deque, Dict, List, NamedTuple, Optional

from worker.arguments import Arguments
from worker.errors import Details, Failure, outcome_of, system_failure
from worker.state import State
from worker.text import from_base64


#: Between two words of an operation that only says that it goes on.
TICK_SECONDS = 1.0


def nothing() -> None:
    """Undoes nothing."""


class Request:
    """What an operation is given."""

    def __init__(self, number: int, arguments: Arguments, state: State) -> None:
        self.number = number
        self.arguments = arguments
        self.state = state
        self.cancelled = threading.Event()
        self.heard = time.monotonic()
        self.is_answered = False
        self.answering = threading.Lock()
        self.undo: Callable[[], None] = nothing
        #: What the client gave to the running operation; None is the end of it.
        self.given: Deque[Optional[bytes]] = deque()
        self.wake: Callable[[], None] = nothing

    def unless_answered(self, undo: Callable[[], None]) -> None:
        """What to do where the result comes too late to be told: a lock that nobody knows of would be held for good."""
        self.undo = undo

    def give(self, piece: Optional[bytes]) -> None:
        """For the main loop. Before the operation listens for it, it waits in `given`."""
        self.given.append(piece)
        self.wake()

    def check(self) -> None:
        """Between the parts of an operation: ends it where it was cancelled."""
        if self.cancelled.is_set():
            raise Failure("cancelled", "the request was cancelled")

    def sleep(self, seconds: float) -> None:
        self.cancelled.wait(seconds)
        self.check()

    def fence(self) -> None:
        """Before each changing step: every lock that the request names is still the file under its name."""
        with self.state.locks.using(self.arguments.numbers("locks")) as locks:
            for lock in locks:
                lock.require()

    def progress(self, values: Details) -> None:
        self.heard = time.monotonic()
        self.tell(values)

    def tell(self, values: Details) -> None:
        """Of what does not go forward: the deadline stays."""
        self.state.outlet.send({"id": self.number, "event": values})

    def tick(self) -> None:
        """Between the parts of a long look: it goes on, so its deadline does not count it as silent."""
        self.check()
        if time.monotonic() - self.heard > TICK_SECONDS:
            self.progress({})

    def answer(self, values: Details) -> None:
        """The first answer counts: one that comes behind the deadline says nothing, and is undone where it can be."""
        with self.answering:
            is_late = self.is_answered
            self.is_answered = True
        if is_late:
            self.undo()
            return
        try:
            self.state.outlet.send(dict(values, id=self.number))
        except Failure as failure:
            self.state.outlet.send({"id": self.number, "error": failure.to_json()})


Run = Callable[[Request], Details]


class Operation(NamedTuple):
    run: Run
    #: The worker does not end while such an operation runs.
    changes: bool


OPERATIONS: Dict[str, Operation] = {}


def operation(name: str, changes: bool = False) -> Callable[[Run], Run]:
    """Makes a function an operation of the protocol."""

    def register(run: Run) -> Run:
        OPERATIONS[name] = Operation(run, changes)
        return run

    return register


def perform(request: Request, found: Operation) -> Details:
    """The reply, without the id."""

    def work() -> Details:
        request.check()
        with request.state.locks.using(request.arguments.numbers("locks")):
            request.fence()
            return found.run(request)

    return outcome_of(work)


class Running(NamedTuple):
    request: Request
    thread: threading.Thread
    changes: bool
    #: Without an answer or progress for that long it is answered with `timed-out`. 0: never.
    deadline_seconds: float


class Requests:
    """Those that run. Only the main loop begins, cancels and expires them."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.running: Dict[int, Running] = {}

    def begin(self, message: Dict[str, Any]) -> None:
        number = message.get("id")
        if not isinstance(number, int) or number in self.running:
            raise Failure("bad-request", "a request has a number of its own")
        request = Request(number, Arguments(message.get("args") or {}), self.state)
        found = OPERATIONS.get(str(message.get("op")))
        if found is None:
            self._refuse(number, Failure("bad-request", "there is no operation %s" % message.get("op")))
            return
        begun = found
        thread = threading.Thread(target=lambda: request.answer(perform(request, begun)), daemon=True)
        running = Running(request, thread, found.changes, float(message.get("deadlineSeconds") or 0))
        try:
            thread.start()
        except RuntimeError:  # the account has as many as it may have: this request fails, and those that run go on
            self._refuse(number, system_failure(OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))))
            return
        self.running[number] = running

    def _refuse(self, number: int, failure: Failure) -> None:
        self.state.outlet.send_now({"id": number, "error": failure.to_json()})

    def cancel(self, number: Any) -> None:
        running: Optional[Running] = self.running.get(number)
        if running is not None:
            running.request.cancelled.set()

    def give(self, number: Any, content: Any) -> None:
        """Input for a running operation; one that has ended needs none."""
        running: Optional[Running] = self.running.get(number)
        if running is not None:
            running.request.give(None if content is None else from_base64(content))

    def look_after(self) -> None:
        """Forgets what has ended, and answers what takes too long: it is cancelled, but a call in the kernel may go on."""
        now = time.monotonic()
        for number, (request, thread, _, seconds) in list(self.running.items()):
            if not thread.is_alive():
                del self.running[number]
            elif 0 < seconds < now - request.heard and not request.is_answered:
                request.cancelled.set()
                self._expire(request, seconds)

    def _expire(self, request: Request, seconds: float) -> None:
        failure = Failure("timed-out", "it did not end and told no progress for %g s; it may still go on" % seconds)
        with request.answering:
            if request.is_answered:
                return
            request.is_answered = True
        self.state.outlet.send_now({"id": request.number, "error": failure.to_json()})

    def end(self) -> None:
        """Cancels all, and waits for those that change something, however long: until then the locks stay."""
        all_of_them: List[Running] = list(self.running.values())
        for one in all_of_them:
            one.request.cancelled.set()
        for one in all_of_them:
            if one.changes:
                one.thread.join()
