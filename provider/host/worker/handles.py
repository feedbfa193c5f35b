"""What the worker holds open for the client, by number: directories, files, locks, monitors."""

import os
import threading
from contextlib import contextmanager
from typing import Dict, Generic, Iterator, List, TypeVar

from worker.errors import Failure

Held = TypeVar("Held")


class Handles(Generic[Held]):
    """Numbers are never used twice, so a late request cannot meet another thing under an old number."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.lock = threading.Lock()
        self.last = 0
        self.held: Dict[int, Held] = {}

    def add(self, value: Held) -> int:
        with self.lock:
            self.last += 1
            self.held[self.last] = value
            return self.last

    def get(self, number: int) -> Held:
        with self.lock:
            return self._find(number)

    def take(self, number: int) -> Held:
        """From now on it is the caller's to close."""
        with self.lock:
            value = self._find(number)
            del self.held[number]
            return value

    def take_all(self) -> List[Held]:
        with self.lock:
            values = list(self.held.values())
            self.held.clear()
            return values

    def all(self) -> List[Held]:
        with self.lock:
            return list(self.held.values())

    def _find(self, number: int) -> Held:
        if number not in self.held:
            raise Failure("unknown-handle", "there is no open %s with the number %d" % (self.kind, number))
        return self.held[number]


class Descriptors(Handles[int]):
    """Numbers of open descriptors."""

    def duplicate(self, number: int) -> int:
        """Closing the handle meanwhile cannot make it another file's. It is the caller's to close."""
        with self.lock:
            return os.dup(self._find(number))

    @contextmanager
    def using(self, number: int) -> Iterator[int]:
        copy = self.duplicate(number)
        try:
            yield copy
        finally:
            os.close(copy)

    def close(self, number: int) -> None:
        os.close(self.take(number))
