import os
import socket
from unittest import mock

from support import Folder, request_of
from worker import guest_process
from worker.text import to_text


class Behind(Folder):
    def setUp(self) -> None:
        super().setUp()
        self.listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.listener.close)
        patched = mock.patch.object(guest_process, "names_qemu", return_value=True)
        self.names_qemu = patched.start()
        self.addCleanup(patched.stop)

    def listen(self, name: bytes) -> None:
        self.listener.bind(name)
        self.listener.listen()

    def found(self, name: bytes) -> object:
        return guest_process.behind(request_of({"socket": to_text(self.path(name))}))["pid"]

    def test_it_is_who_listens_there(self) -> None:
        self.listen(self.path(b"a monitor"))
        self.assertEqual(self.found(b"a monitor"), os.getpid())

    def test_it_is_found_through_a_link_and_by_a_name_that_was_bound_in_its_directory(self) -> None:
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        os.chdir(self.folder)
        self.listen(b"monitor")
        os.symlink(self.path(b"monitor"), self.path(b"link"))
        self.assertEqual(self.found(b"link"), os.getpid())

    def test_it_is_nobody_where_another_socket_has_that_name(self) -> None:
        os.mkdir(self.path(b"other"))
        self.listen(self.path(b"other/monitor"))
        with socket.socket(socket.AF_UNIX) as ours:
            ours.bind(self.path(b"monitor"))
            self.assertIsNone(self.found(b"monitor"))

    def test_it_is_nobody_where_there_is_no_socket_or_no_qemu(self) -> None:
        self.assertIsNone(self.found(b"nothing"))
        self.listen(self.path(b"monitor"))
        self.names_qemu.return_value = False
        self.assertIsNone(self.found(b"monitor"))


class Files(Folder):
    def test_regular_files_are_told_by_what_they_are_and_where_the_kernel_knows_them(self) -> None:
        path = self.write(b"image", b"")
        with open(path, "rb") as file:
            found = guest_process.files(request_of({"pid": os.getpid()}))
            status = os.fstat(file.fileno())
        self.assertIn({"device": str(status.st_dev), "inode": str(status.st_ino), "path": to_text(path)}, found["files"])
        self.assertNotIn(to_text(self.folder), [each["path"] for each in found["files"]])
        self.assertEqual(found["workingDirectory"], os.getcwd())

    def test_one_that_has_ended_has_none(self) -> None:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        self.assertEqual(guest_process.files(request_of({"pid": pid})), {"workingDirectory": None, "files": []})
