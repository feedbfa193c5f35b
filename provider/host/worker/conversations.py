"""Scripts that are talked to: what one says is told as it comes, and what the client gives is its input."""

import os
import time
from typing import Optional

from worker.children import LINGER_SECONDS, Child
from worker.errors import Details
from worker.requests import Request, operation
from worker.scripts import shell_words
from worker.text import to_base64
from worker.waiting import ready

TICK_SECONDS = 0.1
PIECE_BYTES = 65536


class Conversation:
    def __init__(self, request: Request, child: Child) -> None:
        self.request = request
        self.child = child
        self.names = dict(zip(child.outputs, ("stdout", "stderr")))
        self.left = memoryview(b"")
        self.is_given_all = False
        self.ended_at: Optional[float] = None
        self.woken, self.waker = os.pipe()
        os.set_blocking(self.waker, False)

    def wake(self) -> None:
        try:
            os.write(self.waker, b"!")
        except BlockingIOError:  # it is awake already
            pass

    def carry(self) -> None:
        """Until its outputs are closed and it has ended."""
        self.request.wake = self.wake
        if self.child.stdin is not None:
            os.set_blocking(self.child.stdin, False)
        while not self._is_over():
            self.request.check()
            self._take_given()
            writable = [] if self.child.stdin is None or not self.left else [self.child.stdin]
            now = ready(TICK_SECONDS, [self.woken, *self.child.open], writable)
            if self.child.stdin in now:
                self.left = self.child.write(self.left)
            for descriptor in now & {self.woken, *self.child.open}:
                self._read(descriptor)

    def close(self) -> None:
        self.request.wake = lambda: None
        os.close(self.woken)
        os.close(self.waker)

    def _take_given(self) -> None:
        while not self.left and self.request.given:
            piece = self.request.given.popleft()
            self.is_given_all = self.is_given_all or piece is None
            self.left = memoryview(piece or b"")
        if self.is_given_all and not self.left:
            self.child.close_input()

    def _read(self, descriptor: int) -> None:
        piece = os.read(descriptor, PIECE_BYTES)
        if descriptor == self.woken:
            return
        if piece:
            self.request.progress({self.names[descriptor]: to_base64(piece)})
        else:
            self.child.open.discard(descriptor)

    def _is_over(self) -> bool:
        """A child of its own may keep its outputs open."""
        if not self.child.has_ended():
            return False
        self.ended_at = self.ended_at or time.monotonic()
        return not self.child.open or time.monotonic() - self.ended_at > LINGER_SECONDS


@operation("script-talk")
def talk(request: Request) -> Details:
    """Its exit status as a shell has it. Cancelled, or at the worker's end, it sees the end of its input and goes on by itself."""
    child = Child(request, shell_words(request))
    conversation = Conversation(request, child)
    try:
        conversation.carry()
    except BaseException:
        child.leave()
        raise
    finally:
        conversation.close()
    status = child.finish()
    return {"exitStatus": status if status >= 0 else 128 - status}
