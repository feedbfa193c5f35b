import os
import resource
import unittest

from worker.waiting import ready


class Ready(unittest.TestCase):
    def setUp(self) -> None:
        self.reading, self.writing = os.pipe()
        self.addCleanup(os.close, self.reading)

    def test_a_descriptor_above_1023_is_waited_for_too(self) -> None:
        self.addCleanup(os.close, self.writing)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        if limits[1] < 2048:
            self.skipTest("this machine lets nobody have so many")
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        resource.setrlimit(resource.RLIMIT_NOFILE, (2048, limits[1]))
        os.dup2(self.reading, 1999)
        self.addCleanup(os.close, 1999)
        self.assertEqual(ready(0, [1999]), set())
        os.write(self.writing, b"!")
        self.assertEqual(ready(0, [1999], [self.writing]), {1999, self.writing})

    def test_an_end_is_something_to_read(self) -> None:
        os.close(self.writing)
        self.assertEqual(ready(None, [self.reading]), {self.reading})

    def test_one_that_is_closed_is_an_error_and_not_ready_for_ever(self) -> None:
        os.close(self.writing)
        with self.assertRaises(OSError):
            ready(0, write=[self.writing])
