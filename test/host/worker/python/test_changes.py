import errno
import fcntl
import os
import stat
from typing import Any
from unittest import mock

from support import Folder, request_of
from worker import changes, trust
from worker.errors import Details, Failure
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

    def test_what_a_cut_between_the_two_names_has_left_is_gone_on_with(self) -> None:
        os.link(self.write(b"old", b"a"), self.path(b"new"))
        changes.rename(self.place(b"old"), self.place(b"new"))
        self.assertEqual((self.names(), self.read(b"new")), ([b"new"], b"a"))


class Renameat2(Folder):
    def test_an_error_of_the_file_system_is_none_of_support(self) -> None:
        self.write(b"one", b"1")
        with self.assertRaises(OSError) as caught:
            changes.rename(self.place(b"none"), self.place(b"two"))
        self.assertEqual(caught.exception.errno, errno.ENOENT)

    def test_two_names_of_one_file_become_one(self) -> None:
        os.link(self.write(b"old", b"a"), self.path(b"new"))
        changes.rename(self.place(b"old"), self.place(b"new"))
        self.assertEqual((self.names(), self.read(b"new")), ([b"new"], b"a"))


class Writing(Folder):
    def write_file(self) -> None:
        self.write_with(mode=0o600)

    def write_with(self, **more: Any) -> Details:
        return changes.write(request_of(dict(more, place={"path": os.fsdecode(self.path(b"new"))}, content="YQ==", replace=False)))

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

    def test_a_file_that_is_swapped_while_it_gets_its_name_is_a_failure_and_what_was_swapped_in_is_not_touched(self) -> None:
        self.write(b"theirs", b"theirs")
        rename = changes.rename

        def swap_first(old: Place, new: Place) -> None:
            os.unlink(old.name, dir_fd=old.directory)
            os.symlink(self.path(b"theirs"), old.name, dir_fd=old.directory)
            rename(old, new)

        with mock.patch.object(changes, "rename", side_effect=swap_first), self.assertRaises(Failure) as caught:
            self.write_file()
        self.assertEqual((caught.exception.name, self.read(b"theirs")), ("other-file", b"theirs"))
        self.assertEqual(stat.S_IMODE(os.stat(self.path(b"theirs")).st_mode), 0o644)

    def test_it_gets_mode_and_owner_of_another(self) -> None:
        os.chmod(self.write(b"like", b""), 0o640)
        made = self.write_with(like={"path": os.fsdecode(self.path(b"like"))})
        self.assertEqual((made["mode"], made["left"], self.read(b"new")), (0o640, [], b"a"))

    def test_a_mode_that_cannot_be_set_is_a_failure_and_leaves_nothing(self) -> None:
        self.write(b"like", b"")
        refused = [{"attribute": "mode", "errno": errno.EPERM}]
        with mock.patch.object(changes, "carry_from", return_value=refused), self.assertRaises(Failure) as caught:
            self.write_with(like={"path": os.fsdecode(self.path(b"like"))})
        self.assertEqual((caught.exception.code, self.names()), (errno.EPERM, [b"like"]))

    def test_a_link_of_that_name_is_not_what_a_new_file_is_made_like(self) -> None:
        os.symlink(self.write(b"other", b""), self.path(b"like"))
        with self.assertRaises(OSError) as caught:
            self.write_with(like={"path": os.fsdecode(self.path(b"like"))})
        self.assertEqual((caught.exception.errno, self.names()), (errno.ELOOP, [b"like", b"other"]))


class Names(Folder):
    def remove(self, *names: bytes, **expected: str) -> None:
        one = {"expected": expected} if expected else {}
        changes.remove_names(request_of({"names": [dict(one, place={"path": os.fsdecode(self.path(name))}) for name in names]}))

    def test_files_and_links_go_and_what_is_not_there_is_none(self) -> None:
        self.write(b"file", b"")
        os.symlink(b"nowhere", self.path(b"link"))
        self.remove(b"file", b"none", b"none/below", b"link")
        self.assertEqual(self.names(), [])

    def test_a_directory_stays_and_ends_it_there(self) -> None:
        for name in (b"before", b"behind"):
            self.write(name, b"")
        os.mkdir(self.path(b"directory"))
        with self.assertRaises(IsADirectoryError) as caught:
            self.remove(b"before", b"directory", b"behind")
        self.assertEqual((self.names(), caught.exception.filename), ([b"behind", b"directory"], self.path(b"directory")))

    def test_another_file_than_the_expected_one_stays(self) -> None:
        status = os.stat(self.write(b"file", b""))
        with self.assertRaises(Failure) as caught:
            self.remove(b"file", dev=str(status.st_dev), ino=str(status.st_ino + 1))
        self.assertEqual((caught.exception.name, self.names()), ("other-file", [b"file"]))
        self.remove(b"file", dev=str(status.st_dev), ino=str(status.st_ino))
        self.assertEqual(self.names(), [])


class Linking(Folder):
    def link(self, over_link: bool = True) -> None:
        asked = {"place": {"path": os.fsdecode(self.path(b"link"))}, "target": "there", "overLink": over_link, "replace": True}
        changes.write_link(request_of(asked))

    def test_a_link_takes_the_place_of_a_link(self) -> None:
        os.symlink(b"elsewhere", self.path(b"link"))
        self.link()
        self.assertEqual((os.readlink(self.path(b"link")), self.names()), (b"there", [b"link"]))

    def test_a_file_keeps_its_place(self) -> None:
        self.write(b"link", b"file")
        self.assertRaises(Failure, self.link)
        self.assertEqual((self.read(b"link"), self.names()), (b"file", [b"link"]))


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
