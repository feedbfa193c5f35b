import os
import signal
from typing import Any

from support import Folder
from worker.errors import Details, Failure
from worker.forked import forked


def die() -> Details:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


FAILURE = Failure("other-file", "it is another one", b"/\xff", 5, {"compared": "different"})


def fail() -> Details:
    raise FAILURE


class Forked(Folder):
    def test_what_it_came_to_is_told(self) -> None:
        self.assertEqual(forked(lambda: {"pid": os.getppid()}, set()), {"pid": os.getpid()})

    def test_its_failure_is_raised(self) -> None:
        with self.assertRaises(Failure) as raised:
            forked(fail, set())
        self.assertIsNot(raised.exception, FAILURE)
        self.assertEqual(raised.exception.to_json(), FAILURE.to_json())

    def test_its_death_is_no_result(self) -> None:
        self.assertIsNone(forked(die, set()))

    def test_half_a_line_is_no_result(self) -> None:
        def half() -> Details:
            numbers = [int(name) for name in os.listdir("/proc/self/fd")]
            teller = max(number for number in numbers if number > 2 and is_pipe(number))
            os.write(teller, b'{"result": {')
            return die()

        self.assertIsNone(forked(half, set()))

    def test_a_bug_is_told_with_its_place(self) -> None:
        def bug() -> Details:
            nothing: Any = None
            return dict(nothing.values)

        with self.assertRaisesRegex(Failure, "AttributeError"):
            forked(bug, set())

    def test_it_keeps_what_it_needs_and_closes_the_rest(self) -> None:
        kept, other = os.open(self.folder, os.O_RDONLY), os.open(self.folder, os.O_RDONLY)
        self.addCleanup(os.close, kept)
        self.addCleanup(os.close, other)
        seen = forked(lambda: {"open": [is_open(kept), is_open(other)]}, {kept})
        self.assertEqual(seen, {"open": [True, False]})

    def test_it_is_of_another_session_whose_signals_it_ignores(self) -> None:
        def tell() -> Details:
            for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
                os.kill(os.getpid(), number)
            return {"session": os.getsid(0) == os.getpid()}

        self.assertEqual(forked(tell, set()), {"session": True})


def is_open(descriptor: int) -> bool:
    return os.path.lexists("/proc/self/fd/%d" % descriptor)


def is_pipe(descriptor: int) -> bool:
    try:
        return os.readlink("/proc/self/fd/%d" % descriptor).startswith("pipe:")
    except OSError:
        return False
