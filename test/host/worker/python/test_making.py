import os
from typing import Any
from unittest import mock

from support import Folder, request_of
from worker import changes, making
from worker.errors import Details, Failure
from worker.text import from_base64


class ByProgram(Folder):
    def make(self, script: str, **more: Any) -> Details:
        place = {"path": os.fsdecode(self.path(b"image"))}
        words = ["sh", "-c", script, "sh", {"new": True}]
        return making.make(request_of(dict(place=place, words=words, stdin="", outputBytesAtMost=1000, **more)))

    def test_it_writes_into_the_new_file(self) -> None:
        made = self.make('printf made >"$1"')["made"]
        self.assertEqual((self.read(b"image"), made["sizeBytes"], made["mode"]), (b"made", 4, 0o600))
        self.assertEqual(made["identity"]["inode"], str(os.stat(self.path(b"image")).st_ino))

    def test_where_it_fails_nothing_is_left_and_its_words_are_told(self) -> None:
        done = self.make('printf made >"$1"; echo no >&2; exit 3')
        self.assertEqual((done["made"], done["exitStatus"], from_base64(done["stderr"])), (None, 3, b"no\n"))
        self.assertEqual(self.names(), [])

    def test_what_has_the_name_already_stays(self) -> None:
        self.write(b"image", b"before")
        with self.assertRaises(FileExistsError):
            self.make('printf made >"$1"')
        self.assertEqual(self.read(b"image"), b"before")

    def test_who_puts_a_link_in_its_place_meanwhile_changes_nothing_for_it(self) -> None:
        self.write(b"outside", b"outside")
        image, outside = (os.fsdecode(self.path(name)) for name in (b"image", b"outside"))
        with self.assertRaises(Failure) as caught:
            self.make('rm "%s"; ln -s "%s" "%s"; printf made >"$1"' % (image, outside, image))
        self.assertEqual((caught.exception.name, self.read(b"outside")), ("other-file", b"outside"))

    def test_it_gets_owner_and_mode_of_another_before_it_is_told(self) -> None:
        os.chmod(self.write(b"like", b""), 0o640)
        if os.geteuid() == 0:
            os.chown(self.path(b"like"), 1234, 2345)
        made = self.make(":", like={"path": os.fsdecode(self.path(b"like"))})["made"]
        like = os.stat(self.path(b"like"))
        self.assertEqual((made["mode"], made["owner"], made["group"]), (0o640, like.st_uid, like.st_gid))

    def test_a_mode_that_cannot_be_set_is_a_failure_that_leaves_nothing(self) -> None:
        self.write(b"like", b"")
        left = [{"attribute": "mode", "errno": 1}]
        with mock.patch.object(changes, "carry_from", return_value=left), self.assertRaises(Failure):
            self.make(":", like={"path": os.fsdecode(self.path(b"like"))})
        self.assertEqual(self.names(), [b"like"])
