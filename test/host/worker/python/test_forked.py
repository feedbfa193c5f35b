import os
import signal
import time
from typing import Any, List

from support import Folder
from worker.errors import Details, Failure
from worker.forked import Tell, forked


def nobody(values: Details) -> None:
    pass


def die(tell: Tell) -> Details:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


FAILURE = Failure("other-file", "it is another one", b"/\xff", 5, {"compared": "different"})


def fail(tell: Tell) -> Details:
    raise FAILURE


class Forked(Folder):
    def test_what_it_came_to_is_told(self) -> None:
        self.assertEqual(forked(lambda tell: {"pid": os.getppid()}, set(), nobody), {"pid": os.getpid()})

    def test_how_it_goes_on_is_told_before_what_it_came_to(self) -> None:
        told: List[Details] = []

        def work(tell: Tell) -> Details:
            for number in range(3):
                tell({"number": number})
            return {"after": 3}

        self.assertEqual(forked(work, set(), told.append), {"after": 3})
        self.assertEqual(told, [{"number": 0}, {"number": 1}, {"number": 2}])

    def test_what_nobody_reads_in_time_is_not_told_and_nobody_waits(self) -> None:
        ended = self.path(b"ended")

        def work(tell: Tell) -> Details:
            for _ in range(10000):
                tell({"number": "x" * 100})
            os.close(os.open(ended, os.O_CREAT))
            return {"whole": True}

        def slow(values: Details) -> None:
            while not os.path.exists(ended):
                time.sleep(0.01)

        self.assertEqual(forked(work, set(), slow), {"whole": True})

    def test_its_failure_is_raised(self) -> None:
        with self.assertRaises(Failure) as raised:
            forked(fail, set(), nobody)
        self.assertIsNot(raised.exception, FAILURE)
        self.assertEqual(raised.exception.to_json(), FAILURE.to_json())

    def test_its_death_is_no_result(self) -> None:
        self.assertIsNone(forked(die, set(), nobody))

    def test_half_a_line_is_no_result(self) -> None:
        def half(tell: Tell) -> Details:
            numbers = [int(name) for name in os.listdir("/proc/self/fd")]
            teller = max(number for number in numbers if number > 2 and is_pipe(number))
            os.write(teller, b'{"result": {')
            return die(tell)

        self.assertIsNone(forked(half, set(), nobody))

    def test_a_bug_is_told_with_its_place(self) -> None:
        def bug(tell: Tell) -> Details:
            nothing: Any = None
            return dict(nothing.values)

        with self.assertRaisesRegex(Failure, "AttributeError"):
            forked(bug, set(), nobody)

    def test_it_keeps_what_it_needs_and_closes_the_rest(self) -> None:
        kept, other = os.open(self.folder, os.O_RDONLY), os.open(self.folder, os.O_RDONLY)
        self.addCleanup(os.close, kept)
        self.addCleanup(os.close, other)
        seen = forked(lambda tell: {"open": [is_open(kept), is_open(other)]}, {kept}, nobody)
        self.assertEqual(seen, {"open": [True, False]})

    def test_it_is_of_another_session_whose_signals_it_ignores(self) -> None:
        def signalled(tell: Tell) -> Details:
            for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
                os.kill(os.getpid(), number)
            return {"session": os.getsid(0) == os.getpid()}

        self.assertEqual(forked(signalled, set(), nobody), {"session": True})


def is_open(descriptor: int) -> bool:
    return os.path.lexists("/proc/self/fd/%d" % descriptor)


def is_pipe(descriptor: int) -> bool:
    try:
        return os.readlink("/proc/self/fd/%d" % descriptor).startswith("pipe:")
    except OSError:
        return False
