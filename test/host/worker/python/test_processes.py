import builtins
import errno
import os
import subprocess
import unittest
from typing import Any
from unittest import mock

from worker.processes import is_alive, is_exiting, start_time


def refusing(number: int) -> Any:
    return mock.patch.object(builtins, "open", side_effect=OSError(number, os.strerror(number)))


class Processes(unittest.TestCase):
    def setUp(self) -> None:
        self.me = os.getpid()
        self.started = start_time(self.me)

    def test_one_that_cannot_be_looked_at_counts_as_alive_and_is_not_seen_to_end(self) -> None:
        for number in (errno.EIO, errno.EMFILE, errno.ENOMEM, errno.EACCES):
            with refusing(number):
                self.assertTrue(is_alive(self.me, self.started))
                self.assertFalse(is_exiting(self.me, self.started))
                self.assertIsNone(start_time(self.me))

    def test_an_error_of_a_moment_hides_no_start_time(self) -> None:
        real = builtins.open
        with mock.patch.object(builtins, "open", side_effect=[OSError(errno.EIO, "once"), real("/proc/self/stat", "rb")]):
            self.assertEqual(start_time(self.me), self.started)

    def test_one_whose_start_was_never_seen_counts_as_alive(self) -> None:
        self.assertTrue(is_alive(self.me, None))

    def test_one_that_is_not_there_is_not_alive(self) -> None:
        for number in (errno.ENOENT, errno.ESRCH):
            with refusing(number):
                self.assertFalse(is_alive(self.me, self.started))

    def test_one_that_has_ended_is_not_alive_before_it_is_waited_for_or_after(self) -> None:
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
        started = start_time(child.pid)
        self.assertTrue(is_alive(child.pid, started))
        assert child.stdin is not None
        child.stdin.close()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        self.assertFalse(is_alive(child.pid, started))
        child.wait()
        self.assertFalse(is_alive(child.pid, started))

    def test_one_of_another_start_time_is_another_one(self) -> None:
        assert self.started is not None
        self.assertFalse(is_alive(self.me, self.started + 1))
