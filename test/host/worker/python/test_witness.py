import fcntl
import os
import threading
import unittest

from worker.witness import Witness


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

    def test_it_has_no_name_and_programs_do_not_inherit_it_by_themselves(self) -> None:
        witness = Witness()
        self.addCleanup(witness.close)
        self.assertEqual(os.fstat(witness.file).st_nlink, 0)
        self.assertTrue(fcntl.fcntl(witness.file, fcntl.F_GETFD) & fcntl.FD_CLOEXEC)
