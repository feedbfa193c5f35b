import json
import os
import unittest
from unittest import mock

from support import Folder
from worker import identity
from worker.errors import Details
from worker.identity import compare, identity_of, has_lasting_handles
from worker.mounts import Mount, mount_in

CASES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "identities.json")


class Comparison(unittest.TestCase):
    def test_every_case_of_the_list_is_judged_as_it_says(self) -> None:
        with open(CASES, encoding="utf-8") as file:
            cases = json.load(file)
        for case in cases["cases"]:
            one = merged(cases["base"], case["one"])
            two = merged(cases["base"], case["two"])
            for a, b in ((one, two), (two, one)):
                with self.subTest(case["fact"]):
                    self.assertEqual(compare(a, b), case["compared"])


def merged(base: Details, different: Details) -> Details:
    system = dict(base["fileSystem"], **different.get("fileSystem", {}))
    return dict(base, **dict(different, fileSystem=system))


class Parts(Folder):
    def identity(self, name: bytes) -> Details:
        descriptor = os.open(self.write(name, b"text"), os.O_RDONLY)
        try:
            return identity_of(descriptor)
        finally:
            os.close(descriptor)

    def test_two_files_of_one_directory_differ(self) -> None:
        self.assertEqual(compare(self.identity(b"one"), self.identity(b"two")), "different")

    def test_a_file_is_the_same_as_itself(self) -> None:
        self.assertEqual(compare(self.identity(b"one"), self.identity(b"one")), "same")

    def test_a_handle_counts_where_the_kernel_does_not_number_files_as_long_as_it_remembers_them(self) -> None:
        kinds = ["ext4", "xfs", "nfs4", "tmpfs", "fuse", "fuse.sshfs", "fuseblk", "virtiofs"]
        self.assertEqual([kind for kind in kinds if has_lasting_handles(kind)], ["ext4", "xfs", "nfs4", "tmpfs"])

    def test_without_handle_and_birth_time_it_is_not_known(self) -> None:
        whole = self.identity(b"one")
        with mock.patch.object(identity, "file_handle", return_value=None), mock.patch.object(identity, "birth_time_ns", return_value=None):
            bare = self.identity(b"one")
        self.assertEqual((bare["handle"], bare["birthNs"]), (None, None))
        self.assertEqual(compare(whole, bare), "unknown")


class Mounts(unittest.TestCase):
    def test_a_mount_is_read_with_its_optional_fields_and_escaped_blanks(self) -> None:
        text = b"36 35 98:0 / /mnt rw,noatime master:1 shared:2 - ext3 /dev/a\\040b rw\n40 35 0:41 / /t rw - tmpfs tmpfs rw\n"
        text += b"50 35 0:42 / /x\r60 rw - tmpfs fake rw\n60 35 0:43 / /y rw - xfs /dev/b rw\n"
        self.assertEqual(mount_in(text, 60), Mount("xfs", b"/dev/b"))
        self.assertEqual([mount_in(text, number) for number in (36, 40, 4)], [Mount("ext3", b"/dev/a b"), Mount("tmpfs", b"tmpfs"), None])
