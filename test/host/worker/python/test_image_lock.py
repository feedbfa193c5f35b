import errno
import fcntl
import os
import subprocess
import sys
from typing import Optional
from unittest import mock

from support import Folder
from worker.image_lock import IMAGE_LOCK_BYTE, NotHeld, hold_image, hold_images, lock_bytes, release_images


class Held(Folder):
    def image(self) -> int:
        descriptor = os.open(self.path(b"base.raw"), os.O_RDWR | os.O_CREAT)
        self.addCleanup(os.close, descriptor)
        return descriptor

    def is_free(self, name: bytes = b"base.raw") -> bool:
        """For a process that would write, as QEMU asks."""
        code = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, %d)" % IMAGE_LOCK_BYTE
        return subprocess.call([sys.executable, "-c", code, self.path(name)], stderr=subprocess.DEVNULL) == 0

    def test_keeps_others_from_opening_it_for_writing_until_it_is_released(self) -> None:
        image = self.image()
        hold_image(image)
        self.assertFalse(self.is_free())
        release_images([image])
        self.assertTrue(self.is_free())

    def test_an_image_that_another_process_writes_to_is_not_held(self) -> None:
        image, other = self.image(), self.image()
        fcntl.fcntl(other, 37, b"\x01\x00\x00\x00" + bytes(4) + (201).to_bytes(8, "little") + (1).to_bytes(8, "little") + bytes(8))
        with self.assertRaisesRegex(NotHeld, "another process has its image open for writing"):
            hold_image(image)

    def test_one_that_cannot_be_held_keeps_none_of_the_others_from_it(self) -> None:
        taken, free = self.image(), os.open(self.path(b"other.raw"), os.O_RDWR | os.O_CREAT)
        self.addCleanup(os.close, free)
        other = self.image()
        fcntl.fcntl(other, 37, lock_bytes(fcntl.F_WRLCK, IMAGE_LOCK_BYTE, 1))
        others = hold_images([("vda", taken), ("vdb", free)])
        self.assertEqual(others, [("vda", "another process has its image open for writing")])
        self.assertFalse(self.is_free(b"other.raw"))

    def refusing(self, asking: Optional[int]) -> "mock._patch[mock.Mock]":
        """A file system that refuses each lock, and perhaps also the question for one."""

        def fcntl_of(descriptor: int, command: int, argument: bytes) -> bytes:
            if command in (fcntl.F_GETLK, 36) and asking is None:
                return argument
            raise OSError(errno.EIO, "")

        return mock.patch.object(fcntl, "fcntl", side_effect=fcntl_of)

    def test_where_no_lock_can_be_asked_for_qemu_takes_none_either(self) -> None:
        with self.refusing(errno.ENOLCK):
            hold_image(self.image())

    def test_where_a_lock_can_be_asked_for_and_is_refused_it_is_not_held(self) -> None:
        with self.refusing(None), self.assertRaisesRegex(NotHeld, "its image cannot be locked: Input/output error"):
            hold_image(self.image())
