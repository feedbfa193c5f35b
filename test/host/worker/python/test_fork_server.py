import contextlib
import errno
import fcntl
import os
import signal
import threading
import time
import unittest
from functools import partial
from typing import Any, List, Optional, Set

from hanging import Hanging
from support import Folder, is_locked
from worker.errors import Details, Failure
from worker.fork_client import ForkServer, NoProcess
from worker.handing import Tell, Work, packed


def nobody(values: Details) -> None:
    pass


def die(tell: Tell) -> Details:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


FAILURE = Failure("other-file", "it is another one", b"/\xff", 5, {"compared": "different"})


def fail(tell: Tell) -> Details:
    raise FAILURE


def count(tell: Tell) -> Details:
    for number in range(3):
        tell({"number": number})
    return {"after": 3}


def tell_much(ended: bytes, tell: Tell) -> Details:
    for _ in range(10000):
        tell({"number": "x" * 100})
    os.close(os.open(ended, os.O_CREAT))
    return {"whole": True}


def half(tell: Tell) -> Details:
    os.write(min(sockets()), b'{"result": {')
    return die(tell)


def bug(tell: Tell) -> Details:
    nothing: Any = None
    return dict(nothing.values)


def files(folder: bytes, tell: Tell) -> Details:
    """What it has open of a folder, by number."""
    found = {name: links_to(int(name)) for name in os.listdir("/proc/self/fd")}
    return {number: path for number, path in found.items() if path.startswith(os.fsdecode(folder) + "/")}


def standard(tell: Tell) -> Details:
    return {"paths": [links_to(number) for number in (0, 1, 2)]}


def sockets() -> List[int]:
    return [number for number in range(3, 64) if links_to(number).startswith("socket:")]


def links_to(number: int) -> str:
    try:
        return os.readlink("/proc/self/fd/%d" % number)
    except OSError:
        return ""


def signalled(tell: Tell) -> Details:
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        os.kill(os.getpid(), number)
    return {"session": os.getsid(0) == os.getpid()}


def write_to(number: int, tell: Tell) -> Details:
    try:
        return {"written": os.write(number, b"x")}
    except OSError as error:
        return {"errno": error.errno}


def run_a_program(tell: Tell) -> Details:
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    return {"status": os.waitpid(pid, 0)[1] >> 8}


def mark_and_wait(begun: bytes, gate: bytes, tell: Tell) -> Details:
    os.close(os.open(begun, os.O_CREAT))
    with open(gate):
        return {}


def mark(begun: bytes, tell: Tell) -> Details:
    os.close(os.open(begun, os.O_CREAT))
    return {}


class WithServer(Folder):
    def setUp(self) -> None:
        super().setUp()
        others = children_of(os.getpid())
        self.server = ForkServer()
        self.server.start()
        assert self.server.requests
        self.addCleanup(self.server.requests.close)
        (self.pid,) = children_of(os.getpid()) - others

    def carry(self, work: Work, keep: Optional[Set[int]] = None, tell: Tell = nobody) -> Optional[Details]:
        return self.server.carry(packed(work), keep or set(), tell)

    def opened(self, name: bytes) -> int:
        descriptor = os.open(self.write(name, b""), os.O_RDWR)
        self.addCleanup(os.close, descriptor)
        return descriptor


class Server(WithServer):
    def test_how_it_goes_on_is_told_before_what_it_came_to(self) -> None:
        told: List[Details] = []
        self.assertEqual(self.carry(count, tell=told.append), {"after": 3})
        self.assertEqual(told, [{"number": 0}, {"number": 1}, {"number": 2}])

    def test_what_nobody_reads_in_time_is_not_told_and_nobody_waits(self) -> None:
        ended = self.path(b"ended")

        def slow(values: Details) -> None:
            while not os.path.exists(ended):
                time.sleep(0.01)

        self.assertEqual(self.carry(partial(tell_much, ended), tell=slow), {"whole": True})

    def test_its_failure_is_raised(self) -> None:
        with self.assertRaises(Failure) as raised:
            self.carry(fail)
        self.assertIsNot(raised.exception, FAILURE)
        self.assertEqual(raised.exception.to_json(), FAILURE.to_json())

    def test_its_death_is_no_result(self) -> None:
        self.assertIsNone(self.carry(die))

    def test_half_a_line_is_no_result(self) -> None:
        self.assertIsNone(self.carry(half))

    def test_a_bug_is_told_with_its_place(self) -> None:
        with self.assertRaisesRegex(Failure, "AttributeError"):
            self.carry(bug)

    def test_it_has_what_it_needs_by_the_same_numbers_and_nothing_else(self) -> None:
        one, _, three = [self.opened(name) for name in (b"one", b"two", b"three")]
        high = fcntl.fcntl(three, fcntl.F_DUPFD_CLOEXEC, 900)
        self.addCleanup(os.close, high)
        expected = {str(number): os.fsdecode(self.path(name)) for number, name in ((one, b"one"), (high, b"three"))}
        self.assertEqual(self.carry(partial(files, self.folder), {one, high}), expected)

    def test_it_has_more_descriptors_than_one_message_takes(self) -> None:
        first = self.opened(b"file")
        many = {first} | {fcntl.fcntl(first, fcntl.F_DUPFD_CLOEXEC, 3) for _ in range(400)}
        for number in many - {first}:
            self.addCleanup(os.close, number)
        self.assertEqual(self.carry(partial(files, self.folder), many), {str(number): os.fsdecode(self.path(b"file")) for number in many})

    def test_it_has_none_of_the_streams_of_the_session(self) -> None:
        self.assertEqual(self.carry(standard), {"paths": ["/dev/null"] * 3})

    def test_it_has_the_very_open_file_and_so_its_lock(self) -> None:
        descriptor = os.open(self.write(b"lock", b""), os.O_RDWR)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        begun, gate = self.path(b"begun"), self.path(b"gate")
        os.mkfifo(gate)
        pid = os.fork()
        if pid == 0:  # as the worker, which is killed meanwhile
            try:
                self.carry(partial(mark_and_wait, begun, gate), {descriptor})
            finally:
                os._exit(0)
        os.close(descriptor)
        while not os.path.exists(begun):
            time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self.assertTrue(is_locked(self.path(b"lock")))
        os.close(os.open(gate, os.O_WRONLY))
        while is_locked(self.path(b"lock")):
            time.sleep(0.01)

    def test_it_is_of_another_session_whose_signals_it_ignores(self) -> None:
        self.assertEqual(self.carry(signalled), {"session": True})

    def test_it_learns_the_status_of_its_own_programs(self) -> None:
        self.assertEqual(self.carry(run_a_program), {"status": 7})

    def test_a_server_that_has_died_is_replaced_and_its_child_has_nothing_more(self) -> None:
        kept, other = self.opened(b"kept"), self.opened(b"other")
        self.assertNotEqual(kept, other)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.assertEqual(self.carry(partial(files, self.folder), {kept}), {str(kept): os.fsdecode(self.path(b"kept"))})
        assert self.server.requests
        self.addCleanup(self.server.requests.close)

    def test_it_has_nothing_that_whoever_began_the_worker_left_open(self) -> None:
        left = self.opened(b"left")
        server = ForkServer()
        server.start()
        assert server.requests
        self.addCleanup(server.requests.close)
        self.assertEqual(server.carry(packed(partial(files, self.folder)), set(), nobody), {})
        os.fstat(left)

    def test_what_it_was_not_given_can_be_neither_read_nor_written(self) -> None:
        forgotten, given = sorted([self.opened(b"one"), self.opened(b"two")])
        self.assertEqual(self.carry(partial(write_to, forgotten), {given}), {"errno": errno.EBADF})

    def test_before_the_start_none_is_to_be_had(self) -> None:
        with self.assertRaises(NoProcess):
            ForkServer().carry(packed(count), set(), nobody)

    def test_one_that_a_stopped_server_makes_too_late_does_nothing(self) -> None:
        late, after = self.path(b"late"), self.path(b"after")
        os.kill(self.pid, signal.SIGSTOP)
        self.server.begin_seconds_at_most = 0.1
        with self.assertRaises(NoProcess):
            self.carry(partial(mark, late))
        self.server.begin_seconds_at_most = 5
        os.kill(self.pid, signal.SIGCONT)
        self.carry(partial(mark, after))
        while children_of(self.pid):
            time.sleep(0.01)
        self.assertEqual(self.names(), [b"after"])


@unittest.skipIf(os.getuid() != 0, "only root mounts file systems")
class OnStorageThatHangs(WithServer):
    def setUp(self) -> None:
        super().setUp()
        os.mkdir(self.path(b"mount"))
        self.hanging = Hanging(self.path(b"mount"))
        self.addCleanup(self.hanging.close)
        self.file = os.open(self.hanging.file, os.O_RDWR)
        self.addCleanup(self.close_file)

    def close_file(self) -> None:
        """Once its file system has ended: then it does not hang."""
        self.hanging.end()
        with contextlib.suppress(OSError):
            os.close(self.file)

    def test_a_file_of_somebody_else_is_never_closed(self) -> None:
        for _ in range(2):
            self.assertEqual(self.carry(count), {"after": 3})
        self.assertEqual(self.hanging.closes(), 0)

    def test_its_death_is_seen_although_its_own_file_is_not_closed(self) -> None:
        self.assertIsNone(self.carry(die, {self.file}))
        self.assertEqual(self.hanging.closes(), 1)

    def test_what_it_came_to_is_told_although_its_own_file_is_not_closed(self) -> None:
        self.server.closing_seconds_at_most = 0.1
        self.assertEqual(self.carry(count, {self.file}), {"after": 3})
        self.assertEqual(self.hanging.closes(), 1)

    def test_while_it_works_it_is_not_taken_for_a_dead_one(self) -> None:
        self.server.closing_seconds_at_most = 0.1
        gate = self.path(b"gate")
        os.mkfifo(gate)
        threading.Timer(1, lambda: os.close(os.open(gate, os.O_WRONLY))).start()
        self.assertEqual(self.carry(partial(mark_and_wait, self.path(b"begun"), gate), {self.file}), {})


def children_of(pid: int) -> Set[int]:
    return {one for one in (int(name) for name in os.listdir("/proc") if name.isdigit()) if parent(one) == pid}


def parent(pid: int) -> int:
    """0 for one that has ended."""
    try:
        with open("/proc/%d/stat" % pid, "rb") as file:
            state, number = file.read().rpartition(b")")[2].split()[:2]
    except OSError:
        return 0
    return 0 if state in (b"Z", b"X") else int(number)
