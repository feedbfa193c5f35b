import os
from unittest import mock

from support import Folder
from worker import locks
from worker.places import Place


class Granted(Folder):
    def take_after(self, deed: "mock.Mock") -> int:
        """The deed happens once, between the opening of the file and the grant."""
        lock_file = locks.lock_file

        def first(place: Place, descriptor: int) -> bool:
            if not deed.called:
                deed()
            return lock_file(place, descriptor)

        with mock.patch.object(locks, "lock_file", side_effect=first):
            descriptor, is_granted = locks.take(self.place(b"lock"))
        self.addCleanup(os.close, descriptor)
        self.assertTrue(is_granted)
        return descriptor

    def is_under_its_name(self, descriptor: int) -> bool:
        return locks.same_file(os.stat(self.path(b"lock")), os.fstat(descriptor))

    def test_a_file_that_was_removed_before_the_grant_is_not_the_lock(self) -> None:
        deed = mock.Mock(side_effect=lambda: os.unlink(self.path(b"lock")))
        self.assertTrue(self.is_under_its_name(self.take_after(deed)))

    def test_a_file_that_was_replaced_before_the_grant_is_not_the_lock(self) -> None:
        def replace() -> None:
            os.unlink(self.path(b"lock"))
            os.close(os.open(self.path(b"lock"), os.O_CREAT | os.O_WRONLY, 0o600))

        self.assertTrue(self.is_under_its_name(self.take_after(mock.Mock(side_effect=replace))))
