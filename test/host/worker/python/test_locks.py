import errno
import fcntl
import os
from unittest import mock

from support import Folder, request_of
from worker import locks
from worker.arguments import Arguments
from worker.errors import Failure
from worker.places import Place
from worker.requests import Request
from worker.text import to_base64, to_text


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
        return os.path.samestat(os.stat(self.path(b"lock")), os.fstat(descriptor))

    def test_a_file_that_was_removed_before_the_grant_is_not_the_lock(self) -> None:
        deed = mock.Mock(side_effect=lambda: os.unlink(self.path(b"lock")))
        self.assertTrue(self.is_under_its_name(self.take_after(deed)))

    def test_a_file_that_was_replaced_before_the_grant_is_not_the_lock(self) -> None:
        def replace() -> None:
            os.unlink(self.path(b"lock"))
            os.close(os.open(self.path(b"lock"), os.O_CREAT | os.O_WRONLY, 0o600))

        self.assertTrue(self.is_under_its_name(self.take_after(mock.Mock(side_effect=replace))))


class Written(Folder):
    """Who holds the lock is written while nobody works under the lock of its directory."""

    def acquired(self) -> Request:
        request = request_of({"place": {"path": to_text(self.path(b"lock"))}, "waitSeconds": 0, "make": True})
        number = locks.acquire(request)["lock"]
        self.addCleanup(request.state.end)
        request.arguments = Arguments({"lock": number, "content": to_base64(b"text"), "waitSeconds": 0})
        return request

    def test_somebody_who_works_there_is_not_written_over(self) -> None:
        request = self.acquired()
        fcntl.flock(self.directory, fcntl.LOCK_EX)
        with self.assertRaises(Failure) as raised:
            locks.write(request)
        self.assertEqual((raised.exception.name, self.read(b"lock")), ("held", b""))
        fcntl.flock(self.directory, fcntl.LOCK_UN)
        locks.write(request)
        self.assertEqual(self.read(b"lock"), b"text")

    def test_a_file_system_that_locks_no_directories_is_written_to_all_the_same(self) -> None:
        request = self.acquired()
        with mock.patch.object(fcntl, "flock", side_effect=OSError(errno.EBADF, "as NFS")):
            locks.write(request)
        self.assertEqual(self.read(b"lock"), b"text")
