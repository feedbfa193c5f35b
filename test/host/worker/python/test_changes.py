import errno
import fcntl
import os
import stat
from unittest import mock

from support import Folder, request_of
from worker import changes, trust
from worker.errors import Failure
from worker.files import held
from worker.identity import identity_of
from worker.places import Place
from worker.requests import Request


class WithoutRenameat2(Folder):
    """NFS and some of FUSE have no RENAME_NOREPLACE."""

    def setUp(self) -> None:
        super().setUp()
        patch = mock.patch.object(changes, "rename_no_replace", return_value=False)
        patch.start()
        self.addCleanup(patch.stop)

    def test_a_free_name_is_taken(self) -> None:
        self.write(b"one", b"1")
        changes.rename(self.place(b"one"), self.place(b"two"))
        self.assertEqual(self.names(), [b"two"])

    def test_a_name_that_is_taken_keeps_its_file(self) -> None:
        self.write(b"one", b"1")
        self.write(b"two", b"2")
        with self.assertRaises(FileExistsError):
            changes.rename(self.place(b"one"), self.place(b"two"))
        self.assertEqual((self.read(b"one"), self.read(b"two")), (b"1", b"2"))

    def test_a_link_is_moved_and_not_followed(self) -> None:
        os.symlink(b"nowhere", self.path(b"one"))
        changes.rename(self.place(b"one"), self.place(b"two"))
        self.assertEqual((self.names(), os.readlink(self.path(b"two"))), ([b"two"], b"nowhere"))


class Renameat2(Folder):
    def test_an_error_of_the_file_system_is_none_of_support(self) -> None:
        self.write(b"one", b"1")
        with self.assertRaises(OSError) as caught:
            changes.rename(self.place(b"none"), self.place(b"two"))
        self.assertEqual(caught.exception.errno, errno.ENOENT)


class Writing(Folder):
    def write_file(self) -> None:
        changes.write(request_of({"place": {"path": os.fsdecode(self.path(b"new"))}, "content": "YQ==", "mode": 0o600, "replace": False}))

    def test_a_write_that_fails_leaves_nothing(self) -> None:
        with mock.patch.object(changes, "write_all", side_effect=OSError(errno.ENOSPC, "full")):
            self.assertRaises(OSError, self.write_file)
        self.assertEqual(self.names(), [])

    def test_a_sync_that_fails_leaves_nothing(self) -> None:
        with mock.patch.object(changes, "sync_descriptor", side_effect=Failure("system", "broken")):
            self.assertRaises(Failure, self.write_file)
        self.assertEqual(self.names(), [])

    def test_a_lock_that_is_lost_while_the_content_is_written_changes_no_name(self) -> None:
        with mock.patch.object(Request, "fence", side_effect=Failure("lock-lost", "gone")):
            self.assertRaises(Failure, self.write_file)
        self.assertEqual(self.names(), [])


class Removing(Folder):
    def test_a_file_that_was_swapped_between_the_checks_gets_its_name_back(self) -> None:
        self.write(b"ours", b"ours")
        self.write(b"theirs", b"theirs")
        with held(self.place(b"ours")) as descriptor:
            expected = identity_of(descriptor)
        rename = changes.rename

        def swap_first(old: Place, new: Place) -> None:
            os.rename(self.path(b"theirs"), self.path(b"ours"))
            patch.stop()
            rename(old, new)

        patch = mock.patch.object(changes, "rename", side_effect=swap_first)
        patch.start()
        arguments = {"place": {"path": os.fsdecode(self.path(b"ours"))}, "expected": expected, "hidden": "allow"}
        with self.assertRaises(Failure) as caught:
            changes.remove(request_of(arguments))
        self.assertEqual(caught.exception.name, "other-file")
        self.assertEqual((self.names(), self.read(b"ours")), ([b"ours"], b"theirs"))

    def test_a_file_that_somebody_uses_keeps_its_name_throughout(self) -> None:
        """A worker that is killed behind the renaming would leave it without."""
        self.write(b"image", b"image")
        with held(self.place(b"image")) as descriptor:
            expected = identity_of(descriptor)
        arguments = {"place": {"path": os.fsdecode(self.path(b"image"))}, "expected": expected, "hidden": "allow"}
        with open(self.path(b"image"), "rb") as image, mock.patch.object(changes, "rename") as renamed:
            fcntl.flock(image, fcntl.LOCK_EX)
            with self.assertRaises(Failure) as caught:
                changes.remove(request_of(arguments))
        self.assertEqual(caught.exception.name, "open")
        renamed.assert_not_called()


class Squashed(Folder):
    """An NFS server that gives root's files to another account."""

    def test_a_file_of_the_account_that_new_files_get_is_trusted(self) -> None:
        self.write(b"manifest", b"{}")
        os.chmod(self.path(b"manifest"), 0o644)
        os.chown(self.path(b"manifest"), 65534, 65534)
        place = self.place(b"manifest")
        with mock.patch.object(trust, "owner_of_new_file", return_value=65534):
            trust.require_trusted(place, place.status())

    def test_the_probe_leaves_nothing(self) -> None:
        self.assertEqual(trust.owner_of_new_file(self.place(b"any")), os.geteuid())
        self.assertEqual(self.names(), [])

    def test_what_a_file_is_is_told_of_all_kinds(self) -> None:
        os.mkfifo(self.path(b"fifo"))
        kinds = [trust.kind_of(os.stat(path)) for path in (self.path(b"fifo"), self.folder, b"/dev/null")]
        self.assertEqual(kinds, ["fifo", "directory", "character-device"])
        self.assertTrue(stat.S_ISFIFO(self.place(b"fifo").status().st_mode))
