"""The locks that the worker holds, by number. Who uses one is counted while its number is looked up, so nobody closes it in between."""

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Callable, Iterator, List

from worker.handles import Handles

if TYPE_CHECKING:
    from worker.locks import Lock


class Locks(Handles["Lock"]):
    @contextmanager
    def using(self, numbers: List[int]) -> Iterator[List["Lock"]]:
        """They are free no sooner than this has ended."""
        with ExitStack() as stack:
            with self.lock:
                locks = [self._find(number) for number in numbers]
                use(locks, stack)
            yield locks

    @contextmanager
    def using_those(self, are_meant: Callable[[int, "Lock"], bool]) -> Iterator[List["Lock"]]:
        with ExitStack() as stack:
            with self.lock:
                locks = [lock for number, lock in self.held.items() if are_meant(number, lock)]
                use(locks, stack)
            yield locks

    @contextmanager
    def inheritable(self) -> Iterator[List[int]]:
        """Descriptors for a child. One that is given back meanwhile is free at once, and closed when this has ended."""
        with ExitStack() as stack:
            with self.lock:
                locks = list(self.held.values())
                for lock in locks:
                    lock.lend()
                    stack.callback(lock.take_back)
            yield [lock.descriptor for lock in locks]


def use(locks: List["Lock"], stack: ExitStack) -> None:
    """Until the stack ends."""
    for lock in locks:
        lock.use()
        stack.callback(lock.leave)
