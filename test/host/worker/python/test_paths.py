import errno
import os
import unittest
from contextlib import contextmanager
from typing import Iterator, Tuple
from unittest import mock

from support import Folder
from worker import paths
from worker.errors import Failure

SOMEBODY = 65534


@unittest.skipIf(os.geteuid() != 0, "needs links of two owners")
class Links(Folder):
    """A directory that others may write in, and one outside."""

    def setUp(self) -> None:
        super().setUp()
        for name in (b"shared", b"outside"):
            os.mkdir(self.path(name))
        os.chmod(self.path(b"shared"), 0o777)
        self.write(b"outside/file", b"outside")

    def link(self, target: bytes, name: bytes, owner: int) -> None:
        os.symlink(target, self.path(name))
        os.lchown(self.path(name), owner, owner)

    @contextmanager
    def above(self, name: bytes, follow: bool = False) -> Iterator[Tuple[int, bytes]]:
        descriptor, last = paths.open_above(self.path(name), follow)
        try:
            yield descriptor, last
        finally:
            os.close(descriptor)

    def is_outside(self, descriptor: int) -> bool:
        return os.path.samestat(os.fstat(descriptor), os.stat(self.path(b"outside")))

    def test_one_that_somebody_else_has_put_on_the_way_is_refused(self) -> None:
        for target in (self.path(b"outside"), b"../outside"):
            self.link(target, b"shared/link", SOMEBODY)
            with self.assertRaises(Failure) as caught:
                paths.open_above(self.path(b"shared/link/file"), False)
            self.assertEqual((caught.exception.name, caught.exception.details["owner"]), ("foreign-link", SOMEBODY))
            os.unlink(self.path(b"shared/link"))

    def test_one_of_somebody_else_as_the_last_name_is_refused_where_it_would_be_followed(self) -> None:
        self.link(b"../outside/file", b"shared/link", SOMEBODY)
        with self.assertRaises(Failure):
            paths.open_above(self.path(b"shared/link"), True)
        with self.above(b"shared/link") as (_, last):
            self.assertEqual(last, b"link")

    def test_one_of_root_is_followed_wherever_it_lies(self) -> None:
        self.link(b"../outside", b"shared/link", 0)
        with self.above(b"shared/link/file") as (descriptor, last):
            self.assertTrue(self.is_outside(descriptor))
            self.assertEqual(last, b"file")

    def test_one_of_somebody_else_is_followed_where_only_root_may_put_one(self) -> None:
        self.link(b"outside", b"link", SOMEBODY)
        with self.above(b"link/file") as (descriptor, _):
            self.assertTrue(self.is_outside(descriptor))

    def test_one_of_who_has_become_root_by_sudo_is_followed(self) -> None:
        self.link(b"../outside", b"shared/link", SOMEBODY)
        with mock.patch.dict(os.environ, {"SUDO_UID": str(SOMEBODY)}), self.above(b"shared/link/file") as (descriptor, _):
            self.assertTrue(self.is_outside(descriptor))

    def test_links_are_followed_to_the_last_name(self) -> None:
        self.link(b"shared/second", b"first", 0)
        self.link(b"../outside/file", b"shared/second", 0)
        with self.above(b"first", True) as (descriptor, last):
            self.assertTrue(self.is_outside(descriptor))
            self.assertEqual(last, b"file")

    def test_a_circle_of_links_ends(self) -> None:
        self.link(b"two", b"one", 0)
        self.link(b"one", b"two", 0)
        for follow, name in ((False, b"one/file"), (True, b"one")):
            with self.assertRaises(OSError) as caught:
                paths.open_above(self.path(name), follow)
            self.assertEqual(caught.exception.errno, errno.ELOOP)


class Paths(Folder):
    def test_what_is_not_there_is_told_with_the_whole_path(self) -> None:
        with self.assertRaises(FileNotFoundError) as caught:
            paths.open_above(self.path(b"none/file"), False)
        self.assertEqual(caught.exception.filename, self.path(b"none/file"))

    def test_a_file_is_no_directory_on_the_way(self) -> None:
        self.write(b"file", b"")
        with self.assertRaises(NotADirectoryError):
            paths.open_above(self.path(b"file/name"), False)

    def test_a_directory_that_gets_another_name_meanwhile_stays_the_one_that_was_opened(self) -> None:
        os.mkdir(self.path(b"one"))
        descriptor, name = paths.open_above(self.path(b"one/file"), False)
        os.rename(self.path(b"one"), self.path(b"two"))
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=descriptor))
        os.close(descriptor)
        self.assertEqual(os.listdir(self.path(b"two")), [b"file"])
