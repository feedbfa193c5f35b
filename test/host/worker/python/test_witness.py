import fcntl
import os
import subprocess
import threading
import unittest

from worker.witness import Witness


def locked_copy(witness: Witness) -> int:
    """As a program has it that nobody has listed."""
    file = os.open("/proc/self/fd/%d" % witness.file, os.O_RDWR | os.O_CLOEXEC)
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


class OfAChild(unittest.TestCase):
    def test_who_comes_after_waits_until_the_last_copy_of_its_file_is_closed(self) -> None:
        witness = Witness()
        self.addCleanup(witness.close)
        first = witness.take()
        programs = os.dup(first)
        os.close(first)
        taken = []
        after = threading.Thread(target=lambda: taken.append(witness.take()))
        after.start()
        after.join(0.2)
        self.assertEqual(taken, [])
        os.close(programs)
        after.join(10)
        self.assertEqual(len(taken), 1)
        os.close(taken[0])

    def ended(self) -> int:
        """The process id of one that has ended, and is not waited for: nobody else gets it."""
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
        self.addCleanup(child.wait)
        self.witness.list(child.pid)
        assert child.stdin is not None
        child.stdin.close()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        return child.pid

    def test_a_copy_that_hangs_at_its_close_is_not_waited_for_where_all_that_are_listed_have_ended(self) -> None:
        self.witness = Witness()
        self.addCleanup(self.witness.close)
        self.addCleanup(os.close, locked_copy(self.witness))
        self.ended()
        os.close(self.witness.take())

    def test_one_that_is_listed_and_runs_is_waited_for(self) -> None:
        self.witness = Witness()
        self.addCleanup(self.witness.close)
        self.addCleanup(os.close, locked_copy(self.witness))
        self.ended()
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
        self.addCleanup(child.wait)
        self.witness.list(child.pid)
        taken = []
        after = threading.Thread(target=lambda: taken.append(self.witness.take()))
        after.start()
        after.join(0.2)
        self.assertEqual(taken, [])
        assert child.stdin is not None
        child.stdin.close()
        after.join(10)
        self.assertEqual(len(taken), 1)
        os.close(taken[0])

    def test_it_has_no_name_and_programs_do_not_inherit_it_by_themselves(self) -> None:
        witness = Witness()
        self.addCleanup(witness.close)
        self.assertEqual(os.fstat(witness.file).st_nlink, 0)
        self.assertTrue(fcntl.fcntl(witness.file, fcntl.F_GETFD) & fcntl.FD_CLOEXEC)
