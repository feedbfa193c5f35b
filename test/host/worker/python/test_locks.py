import errno
import fcntl
import os
import tempfile
import threading
import time
from unittest import mock

from support import Folder, is_locked, request_of
from worker import lock_ends, lock_operations, locks
from worker.arguments import Arguments
from worker.errors import Failure
from worker.paths import DIRECTORY_FLAGS
from worker.places import Place
from worker.requests import Operation, Request, perform
from worker.text import to_base64, to_text


class Granted(Folder):
    def take_after(self, deed: "mock.Mock") -> int:
        """The deed happens once, between the opening of the file and the grant."""
        lock_file = locks.lock_file

        def first(descriptor: int) -> bool:
            if not deed.called:
                deed()
            return lock_file(descriptor)

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
        request = request_of({"place": {"path": to_text(self.path(b"lock"))}, "waitSeconds": 0, "make": True, "othersMayRead": False})
        number = lock_operations.acquire(request)["lock"]
        self.addCleanup(request.state.end)
        request.arguments = Arguments({"lock": number, "content": to_base64(b"text"), "waitSeconds": 0})
        return request

    def test_given_back_behind_a_manifest_that_is_gone_it_is_no_error_that_its_name_is_somebody_elses_by_now(self) -> None:
        request = self.acquired()
        self.write(b"manifest", b"")
        first = {"path": to_text(self.path(b"manifest"))}
        request.arguments = Arguments({"which": [request.arguments.whole("lock")], "remove": True, "first": first})
        remove_file = lock_operations.remove_file

        def somebody_comes(place: Place) -> None:
            remove_file(place)
            os.unlink(self.path(b"lock"))
            self.write(b"lock", b"somebody's")

        with mock.patch.object(lock_operations, "remove_file", side_effect=somebody_comes):
            self.assertEqual(lock_operations.release(request), {})
        self.assertEqual((self.names(), self.read(b"lock")), ([b"lock"], b"somebody's"))

    def test_somebody_who_works_there_is_not_written_over(self) -> None:
        request = self.acquired()
        fcntl.flock(self.directory, fcntl.LOCK_EX)
        with self.assertRaises(Failure) as raised:
            lock_operations.write(request)
        self.assertEqual((raised.exception.name, self.read(b"lock")), ("held", b""))
        fcntl.flock(self.directory, fcntl.LOCK_UN)
        lock_operations.write(request)
        self.assertEqual(self.read(b"lock"), b"text")

    def test_a_file_system_that_locks_no_directories_is_written_to_all_the_same(self) -> None:
        request = self.acquired()
        with mock.patch.object(fcntl, "flock", side_effect=OSError(errno.EBADF, "as NFS")):
            lock_operations.write(request)
        self.assertEqual(self.read(b"lock"), b"text")


class Left(Folder):
    """The worker ends, and nobody has given the lock back."""

    def acquired(self, text: str) -> Request:
        request = request_of({"place": {"path": to_text(self.path(b"lock"))}, "waitSeconds": 0, "make": True, "othersMayRead": False})
        number = lock_operations.acquire(request)["lock"]
        if text:
            request.arguments = Arguments({"lock": number, "content": to_base64(text.encode()), "waitSeconds": 0})
            lock_operations.write(request)
        return request

    def lock_of_another_mount(self) -> locks.Lock:
        folder = tempfile.TemporaryDirectory(dir="/dev/shm")
        self.addCleanup(folder.cleanup)
        self.elsewhere = os.fsencode(folder.name) + b"/lock"
        directory = os.open(folder.name, DIRECTORY_FLAGS)
        descriptor, _ = locks.take(Place(directory, b"lock", self.elsewhere))
        return locks.Lock(descriptor, directory, b"lock", self.elsewhere)

    def test_a_file_that_says_who_holds_it_goes(self) -> None:
        self.acquired("holder").state.end()
        self.assertEqual(self.names(), [])

    def test_a_file_that_says_nothing_goes(self) -> None:
        self.acquired("").state.end()
        self.assertEqual(self.names(), [])

    def test_a_file_whose_content_decides_something_stays(self) -> None:
        request = self.acquired("")
        request.arguments = Arguments({"lock": 1, "content": to_base64(b"record"), "locks": [1]})
        lock_operations.replace(request)
        request.state.end()
        self.assertEqual(self.read(b"lock"), b"record")

    def test_a_file_of_somebody_else_s_that_was_only_locked_stays(self) -> None:
        self.write(b"lock", b"a run of 0.1.0")
        os.chmod(self.path(b"lock"), 0o600)
        self.acquired("").state.end()
        self.assertEqual(self.read(b"lock"), b"a run of 0.1.0")

    def test_a_file_under_whose_lock_a_program_works_on_stays(self) -> None:
        request = self.acquired("holder")
        with request.state.locks.inheritable() as (lock,):
            inherited = os.dup(lock)
        request.state.end()
        self.assertEqual(self.names(), [b"lock"])
        os.close(inherited)

    def test_what_a_cut_replacement_has_left_beside_it_goes_first(self) -> None:
        request = self.acquired("holder")
        self.write(b"lock.new", b"")
        request.state.end()
        self.assertEqual(self.names(), [])

    def test_locks_of_several_file_systems_are_all_free_afterwards(self) -> None:
        request = self.acquired("holder")
        request.state.locks.add(self.lock_of_another_mount())
        request.state.end()
        self.assertEqual((self.names(), os.path.exists(self.elsewhere)), ([], False))

    def test_a_file_system_that_hangs_keeps_neither_the_worker_nor_the_file(self) -> None:
        request = self.acquired("holder")
        healthy = request.state.locks.add(self.lock_of_another_mount())
        ended = lock_ends.end
        stuck = lambda lock: ended(lock) if b"shm" in lock.place.shown else time.sleep(60)  # noqa: E731
        with mock.patch.object(lock_ends, "end", side_effect=stuck), mock.patch.object(lock_ends, "SECONDS_AT_MOST", 0.5):
            request.state.end()
        self.assertEqual((self.names(), os.path.exists(self.elsewhere), healthy), ([b"lock"], False, 2))

    def assert_free_and_there(self) -> None:
        self.assertEqual(self.names(), [b"lock"])
        descriptor, is_granted = locks.take(self.place(b"lock"))
        os.close(descriptor)
        self.assertTrue(is_granted)

    def test_where_no_thread_is_to_be_had_it_is_free_and_stays(self) -> None:
        request = self.acquired("holder")
        with mock.patch.object(threading.Thread, "start", side_effect=RuntimeError()):
            request.state.end()
        self.assert_free_and_there()

    def test_where_no_descriptor_is_to_be_had_it_is_free_and_stays(self) -> None:
        request = self.acquired("holder")
        with mock.patch.object(Place, "open", side_effect=OSError(errno.EMFILE, "")), mock.patch.object(
            lock_ends, "mount_number", side_effect=OSError(errno.EMFILE, "")
        ):
            request.state.end()
        self.assert_free_and_there()

    def test_another_file_of_its_name_stays(self) -> None:
        request = self.acquired("holder")
        os.unlink(self.path(b"lock"))
        self.write(b"lock", b"another")
        request.state.end()
        self.assertEqual(self.read(b"lock"), b"another")


class Content(Folder):
    def lock(self) -> locks.Lock:
        descriptor, is_granted = locks.take(self.place(b"lock"))
        self.assertTrue(is_granted)
        lock = locks.Lock(descriptor, os.dup(self.directory), b"lock", self.path(b"lock"))
        self.addCleanup(lock.close)
        return lock

    def is_free(self) -> bool:
        return not is_locked(self.path(b"lock"))

    def test_it_is_replaced_by_a_file_that_was_locked_before_it_had_the_name(self) -> None:
        lock = self.lock()
        rename = os.rename

        def seen(old: bytes, new: bytes, **directories: int) -> None:
            with open(self.path(old), "rb") as file, self.assertRaises(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            rename(old, new, **directories)

        with mock.patch.object(os, "rename", side_effect=seen) as renamed:
            lock.replace(b"one")
        renamed.assert_called_once()
        lock.replace(b"two")
        self.assertEqual((self.read(b"lock"), self.names(), lock.is_held(), self.is_free()), (b"two", [b"lock"], True, False))

    def test_it_is_whole_or_not_at_all(self) -> None:
        lock = self.lock()
        lock.replace(b"one")
        with mock.patch.object(os, "fsync", side_effect=OSError(28, "full")), self.assertRaises(Exception):
            lock.replace(b"two")
        self.assertEqual((self.read(b"lock"), self.names(), lock.is_held(), self.is_free()), (b"one", [b"lock"], True, False))

    def test_it_is_written_through_no_link_that_lies_at_the_name_for_the_time_between(self) -> None:
        lock = self.lock()
        self.write(b"precious", b"precious")
        os.symlink(b"precious", self.path(b"lock.new"))
        lock.replace(b"one")
        self.assertEqual((self.read(b"precious"), self.read(b"lock")), (b"precious", b"one"))

    def test_what_is_under_way_has_the_lock_until_its_end(self) -> None:
        lock = self.lock()
        request = request_of({})
        request.arguments.values["locks"] = [request.state.locks.add(lock)]
        with mock.patch.object(lock, "close"):
            with request.state.locks.using(request.arguments.values["locks"]):
                request.state.locks.take(request.arguments.values["locks"][0]).release()
                self.assertFalse(self.is_free())
            self.assertTrue(self.is_free())

    def test_the_file_of_one_under_which_something_works_on_is_not_removed(self) -> None:
        """Another run would lock a new file of that name, and act beside it."""
        lock = self.lock()
        request = request_of({})
        number = request.state.locks.add(lock)
        with mock.patch.object(lock, "close"), request.state.locks.using([number]):
            request.arguments = Arguments({"which": [number], "remove": True})
            lock_operations.release(request)
            self.assertEqual(self.names(), [b"lock"])
            self.assertFalse(self.is_free())

    def test_a_program_of_somebody_elses_that_inherited_it_does_not_keep_it(self) -> None:
        lock = self.lock()
        request = request_of({})
        number = request.state.locks.add(lock)
        with mock.patch.object(lock, "close"), request.state.locks.inheritable() as inherited:
            self.assertEqual(len(inherited), 1)
            request.state.locks.take(number).release()
            self.assertTrue(self.is_free())

    def test_it_is_counted_while_its_number_is_looked_up(self) -> None:
        """Given back by another thread in between, its descriptor would be that of the next file that is opened."""
        lock = self.lock()
        request = request_of({})
        table = request.state.locks
        number = table.add(lock)
        use = lock.use

        def counted() -> None:
            self.assertTrue(table.lock.locked(), "another thread may take it now")
            use()

        with mock.patch.object(lock, "use", side_effect=counted) as used:
            request.arguments.values["locks"] = [number]
            self.assertEqual(perform(request, Operation(lambda _: {}, True)), {"result": {}})
        self.assertGreaterEqual(used.call_count, 1)

    def test_it_is_closed_once_by_the_last_that_needs_it(self) -> None:
        lock = self.lock()
        table = request_of({}).state.locks
        number = table.add(lock)
        with mock.patch.object(lock, "close") as close:
            with table.inheritable():
                with table.using([number]):
                    with table.using([number]):
                        table.take(number).release()
                    self.assertFalse(self.is_free())
                self.assertTrue(self.is_free())
                close.assert_not_called()
            close.assert_called_once()

    def test_what_children_inherit_takes_no_descriptors(self) -> None:
        """Each of fifty programs at a time would take one for each of a hundred locks."""
        table = request_of({}).state.locks
        lock = self.lock()
        table.add(lock)
        before = os.listdir("/proc/self/fd")
        with table.inheritable() as inherited:
            self.assertEqual((inherited, os.listdir("/proc/self/fd")), ([lock.descriptor], before))
