"""One QEMU's monitor, shared by many requests: commands with ids of this run, replies by id, events as they come."""

import os
import threading
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator

from worker.connection import TICK_SECONDS, Connection
from worker.errors import Details
from worker.line import Line
from worker.messages import Message
from worker.waiting import ready


class Monitor(Connection):
    """`start` lets the events out."""

    def __init__(self, path: bytes, deadline_seconds: float, check: Callable[[], None] = lambda: None) -> None:
        super().__init__(path, deadline_seconds, check)
        self.run = os.urandom(8).hex()
        self.sent = 0
        #: Held while a command is written.
        self.sending = threading.Lock()
        self.changed = threading.Condition()
        self.replies: Dict[str, Message] = {}
        self.waiting: Dict[str, None] = {}
        #: A switch has the connection for itself.
        self.is_lent = False
        self.has_told_end = False
        #: Its descriptors are, or soon will be, another file's.
        self.is_given_up = False
        self.woken, self.waker = os.pipe()

    def start(self, tell: Callable[[Details], None]) -> None:
        self.tell = tell
        self._start_reading()

    def execute(self, command: str, arguments: Details, check: Callable[[], None]) -> Any:
        """What QEMU returns. `check` is called while it waits, and ends the waiting by raising: in QEMU the command goes on."""
        number = self._number(check)
        try:
            with self.sending:
                self.send([{"execute": command, "arguments": arguments, "id": number}], check)
            reply = self._reply(number, check)
        finally:
            with self.changed:
                del self.waiting[number]
                self.changed.notify_all()
        return self.returned(command, reply)

    @contextmanager
    def lent(self, check: Callable[[], None]) -> Iterator[Line]:
        """For one that sends and reads alone, perhaps in another process. Others wait meanwhile, also who would close it.

        What is under way is answered first, and what has been read of a message goes along, both ways.
        Where the connection has ended, that is told before this one goes on: who learns what came of it must not use it any more.
        """
        with self.changed:
            while self.is_lent or self.waiting:
                check()
                self.changed.wait(TICK_SECONDS)
            if self.is_given_up:
                raise self.closed()
            self.is_lent = True
        self._stop_reading()
        try:
            yield Line(self)
        finally:
            self._start_reading()
            if self.is_closed:
                self.reader.join()
            with self.changed:
                self.is_lent = False
                self.changed.notify_all()

    def close(self) -> None:
        """Nothing is sent any more when this returns."""
        with self.changed:
            self.wait_while_lent(lambda: None)
            self.is_given_up = True
        self.shut()
        if threading.current_thread() is not self.reader:
            self.reader.join()
        self.stream.close()
        os.close(self.woken)
        os.close(self.waker)

    def wait_while_lent(self, check: Callable[[], None]) -> None:
        with self.changed:
            while self.is_lent:
                check()
                self.changed.wait(TICK_SECONDS)

    def _number(self, check: Callable[[], None]) -> str:
        with self.changed:
            self.wait_while_lent(check)
            self.sent += 1
            number = "livedisk-%s-%d" % (self.run, self.sent)
            self.waiting[number] = None
            return number

    def _reply(self, number: str, check: Callable[[], None]) -> Message:
        with self.changed:
            while number not in self.replies:
                if self.is_closed:
                    raise self.closed()
                check()
                self.changed.wait(TICK_SECONDS)
            return self.replies.pop(number)

    def _start_reading(self) -> None:
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _stop_reading(self) -> None:
        os.write(self.waker, b"!")
        self.reader.join()
        os.read(self.woken, 1)

    def _read(self) -> None:
        early, self.early = self.early, []
        for message in early:
            self._take(message)
        try:
            while not self.messages.over:
                if self.woken in ready(None, [self.stream.fileno(), self.woken]):
                    return
                for message in self.messages.read(0):
                    self._take(message)
        except ValueError:  # the descriptor was closed
            pass
        self.shut()  # so that it is over for a child, too, which reads for itself
        with self.changed:
            self.changed.notify_all()
        if not self.has_told_end:
            self.has_told_end = True
            self.tell({"closed": self.ending()})

    def _take(self, message: Message) -> None:
        """A reply to a former client's command is none of ours, and neither is one that nobody waits for any more."""
        if "event" in message:
            self.tell({"event": message})
            return
        with self.changed:
            number = message.get("id")
            if number in self.waiting and number not in self.replies:
                self.replies[number] = message
                self.changed.notify_all()
