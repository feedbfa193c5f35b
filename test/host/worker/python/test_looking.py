import os
import tempfile
from unittest import mock

from support import Folder, request_of
from worker import looking
from worker.directories import MOST_BYTES
from worker.text import to_text


class Resolved(Folder):
    def setUp(self) -> None:
        super().setUp()
        os.mkdir(self.path(b"real"))
        os.symlink(b"real", self.path(b"link"))
        os.symlink(b"nowhere", self.path(b"dangling"))
        self.write(b"file", b"")

    def resolve(self, name: bytes) -> object:
        return looking.resolve(request_of({"path": to_text(self.path(name))}))["path"]

    def test_it_has_no_links_and_no_dots(self) -> None:
        for name in (b"link", b"link/.", b"real/../link", b"link/../link/"):
            self.assertEqual(self.resolve(name), to_text(self.path(b"real")), name)

    def test_what_the_kernel_refuses_is_refused(self) -> None:
        for name in (b"missing/../real", b"dangling/../real", b"dangling"):
            self.assertRaises(FileNotFoundError, self.resolve, name)
        for name in (b"file/", b"file/.", b"file/../real"):
            self.assertRaises(NotADirectoryError, self.resolve, name)

    def test_a_directory_that_was_removed_has_no_path(self) -> None:
        gone = os.open(tempfile.mkdtemp(dir=self.folder), os.O_PATH)
        os.rmdir(os.readlink("/proc/self/fd/%d" % gone))
        self.assertRaises(FileNotFoundError, lambda: looking.resolve(request_of({"path": "/proc/self/fd/%d" % gone})))
        os.close(gone)


class Space(Folder):
    def test_it_is_never_more_than_the_client_can_count(self) -> None:
        huge = mock.Mock(f_bavail=2 ** 53, f_frsize=4096)
        with mock.patch.object(os, "statvfs", return_value=huge):
            self.assertEqual(looking.space(request_of({"path": to_text(self.folder)})), {"freeBytes": MOST_BYTES})
