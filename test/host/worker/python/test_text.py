import os
import unittest

from support import Folder
from worker.arguments import Arguments
from worker.errors import Failure
from worker.text import to_bytes, to_text


class Text(unittest.TestCase):
    def test_any_bytes_come_back_as_they_were(self) -> None:
        data = bytes(range(256)) + "ü€𝄞".encode("utf-8")
        self.assertEqual(to_bytes(to_text(data)), data)


class Paths(Folder):
    def test_a_name_beyond_ascii_is_used_whatever_the_locale(self) -> None:
        name = "ü€".encode("utf-8")
        descriptor = self.place(name).open(os.O_WRONLY | os.O_CREAT)
        os.close(descriptor)
        self.assertEqual(self.names(), [name])

    def test_a_path_with_nul_is_refused(self) -> None:
        with self.assertRaises(Failure) as caught:
            Arguments({"path": "/a\0b"}).path("path")
        self.assertEqual(caught.exception.name, "bad-request")

    def test_half_a_character_is_refused(self) -> None:
        with self.assertRaises(Failure) as caught:
            Arguments({"path": "/\ud83d"}).path("path")
        self.assertEqual(caught.exception.name, "bad-request")


class Types(unittest.TestCase):
    def test_true_is_no_number(self) -> None:
        for read in (Arguments({"x": True}).whole, Arguments({"x": True}).seconds):
            self.assertRaises(Failure, read, "x")

    def test_a_number_below_zero_is_refused(self) -> None:
        self.assertRaises(Failure, Arguments({"x": -1}).whole, "x")
