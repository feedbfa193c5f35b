import errno
import os
from typing import Any, Dict, List
from unittest import mock

from support import Folder, request_of
from worker import finding
from worker.errors import Failure


class Finding(Folder):
    def find(self, **different: Any) -> List[Dict[str, Any]]:
        asked = {"path": os.fsdecode(self.folder), "pattern": "lm-[0-9]\\.json", "few": 2, "bytes": 8, "limit": 3}
        files: List[Dict[str, Any]] = finding.find(request_of(dict(asked, **different)))["files"]
        return sorted(files, key=lambda file: str(file["name"]))

    def fill(self, *names: bytes) -> None:
        for name in names:
            os.chmod(self.write(name, name[:4]), 0o644)

    def test_files_of_other_names_are_none(self) -> None:
        self.fill(b"lm-1.json", b"lm-1.json.next", b"xlm-1.json", b"lm-22.json")
        self.assertEqual([file["name"] for file in self.find()], ["lm-1.json"])

    def test_few_are_read_and_more_are_not(self) -> None:
        self.fill(b"lm-1.json", b"lm-2.json")
        self.assertEqual([file["read"]["result"]["content"] for file in self.find()], ["bG0tMQ==", "bG0tMg=="])
        self.fill(b"lm-3.json")
        self.assertEqual([file["read"] for file in self.find()], [None, None, None])

    def test_more_than_the_limit_are_refused(self) -> None:
        self.fill(*[b"lm-%d.json" % number for number in range(4)])
        with self.assertRaises(Failure) as caught:
            self.find()
        self.assertEqual(caught.exception.name, "too-large")

    def test_a_directory_that_cannot_be_read_to_its_end_is_an_error(self) -> None:
        with mock.patch.object(finding, "names_in", side_effect=OSError(errno.EIO, "broken")):
            self.assertRaises(OSError, self.find)

    def test_a_fifo_and_a_link_and_a_large_file_are_told_without_being_waited_for_or_followed(self) -> None:
        os.mkfifo(self.path(b"lm-1.json"))
        os.symlink(b"/etc/passwd", self.path(b"lm-2.json"))
        os.chmod(self.write(b"lm-3.json", b"123456789"), 0o644)
        errors = [file["read"]["error"]["name"] for file in self.find(few=3)]
        self.assertEqual(errors, ["not-regular", "system", "too-large"])
