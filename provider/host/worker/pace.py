"""A rate that may change at any time while a request runs."""

from time import monotonic
from typing import Callable

from worker.arguments import wrong
from worker.extents import ALIGNMENT, aligned_down
from worker.requests import Request

#: What is moved at a time takes at most so long at the allowed rate, so that the storage does not see bursts and pauses.
STEP_SECONDS = 0.1

#: Under a limit it is no more than this: a guest's write waits behind what the storage was asked for just before it.
SPARING_BYTES = 512 * 1024

#: A change of the rate is seen after this.
LONGEST_WAIT_SECONDS = 0.5


class Pace:
    """The client changes the rate by input: a whole number of bytes per second, 0 for none."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.rate = request.arguments.whole("bytesPerSecond")
        self.owed = 0.0
        self.at = monotonic()

    def step_bytes(self, unsparing: int) -> int:
        """How much may be moved at a time."""
        if not self.rate:
            return unsparing
        return max(ALIGNMENT, aligned_down(min(SPARING_BYTES, int(self.rate * STEP_SECONDS))))

    def spend(self, moved: int, waiting: Callable[[], None]) -> None:
        """Waits until `moved` bytes more are within the rate."""
        self.owed += moved
        while True:
            self._heed()
            now = monotonic()
            self.owed = max(0.0, self.owed - self.rate * (now - self.at)) if self.rate else 0.0
            self.at = now
            if not self.owed:
                return
            self.request.sleep(min(self.owed / self.rate, LONGEST_WAIT_SECONDS))
            waiting()

    def _heed(self) -> None:
        while self.request.given:
            text = self.request.given.popleft() or b""
            if not text.isdigit():
                raise wrong("bytesPerSecond", "a whole number of bytes")
            self.rate = int(text)
