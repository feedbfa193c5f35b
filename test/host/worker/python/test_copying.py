import errno
import os
import struct
from typing import Any, List, Tuple
from unittest import mock

from support import Folder, request_of
from worker import attributes, copying
from worker.errors import Details, Failure
from worker.requests import Request

MIB = 1024 * 1024


class Copying(Folder):
    def setUp(self) -> None:
        super().setUp()
        self.content = os.urandom(3 * MIB + 77)
        self.write(b"from", self.content)
        self.write(b"to", b"")

    def copy(self) -> Details:
        return copying.copy(self.request())

    def request(self) -> Request:
        arguments = {
            "from": {"path": os.fsdecode(self.path(b"from"))},
            "to": {"path": os.fsdecode(self.path(b"to"))},
            "resumeBytes": 0,
            "bytesPerSecond": 0,
            "reflink": "never",
        }
        return request_of(arguments)

    def test_a_file_system_that_refuses_direct_transfers_is_copied_to_all_the_same(self) -> None:
        readv = os.readv

        def refuse_direct(descriptor: int, buffers: List[memoryview]) -> int:
            if copying.is_direct(descriptor):
                raise OSError(errno.EINVAL, "direct")
            return readv(descriptor, buffers)

        with mock.patch.object(os, "readv", side_effect=refuse_direct):
            self.copy()
        self.assertEqual(self.read(b"to"), self.content)

    def test_a_file_system_without_direct_io_is_copied_to_all_the_same(self) -> None:
        with mock.patch.object(copying, "direct"):
            self.assertEqual(self.copy()["way"], "buffered")
        self.assertEqual(self.read(b"to"), self.content)

    def test_short_reads_and_writes_are_gone_on_with(self) -> None:
        readv, writev = os.readv, os.writev
        with mock.patch.object(copying, "direct"):
            with mock.patch.object(os, "readv", side_effect=lambda d, b: readv(d, [b[0][:70001]])):
                with mock.patch.object(os, "writev", side_effect=lambda d, b: writev(d, [b[0][:50001]])):
                    self.copy()
        self.assertEqual(self.read(b"to"), self.content)

    def test_it_stops_between_two_pieces_when_it_is_cancelled(self) -> None:
        request = self.request()
        piece = mock.Mock(side_effect=lambda *_: request.cancelled.set())
        with mock.patch.object(copying, "move_piece", piece), mock.patch.object(copying, "PIECE_BYTES", MIB):
            with self.assertRaises(Failure) as caught:
                copying.copy(request)
        self.assertEqual((caught.exception.name, piece.call_count), ("cancelled", 1))

    def test_an_error_of_writing_back_is_the_copys(self) -> None:
        with mock.patch.object(os, "fsync", side_effect=OSError(errno.EIO, "lost")):
            with self.assertRaises(OSError) as caught:
                self.copy()
        self.assertEqual(caught.exception.errno, errno.EIO)

    def test_a_resume_point_is_told_only_of_what_is_durable(self) -> None:
        """Each piece is made durable, and each look at the clock finds that a second has gone."""
        fsync = mock.Mock(side_effect=os.fsync)
        clock = mock.Mock(side_effect=range(1000))
        pieces = mock.patch.multiple(copying, RESUME_BYTES=2 * MIB, PIECE_BYTES=MIB)
        with pieces, mock.patch.object(os, "fsync", fsync), mock.patch.object(copying, "monotonic", clock):
            request = self.request()
            copying.copy(request)
        said: Any = request.state.outlet
        events = [(message["event"]["copiedBytes"], message["event"]["resumeBytes"]) for message in said.messages]
        self.assertEqual(events, [(MIB, 0), (2 * MIB, 2 * MIB), (3 * MIB, 2 * MIB), (3 * MIB + 77, 2 * MIB)])
        self.assertEqual(fsync.call_count, 2)


class Extents(Folder):
    def extents(self, start: int, size: int) -> List[Tuple[int, int]]:
        descriptor = os.open(self.path(b"file"), os.O_RDONLY)
        try:
            return list(copying.extents(descriptor, start, size))
        finally:
            os.close(descriptor)

    def test_only_parts_with_data_are_told(self) -> None:
        with open(self.write(b"file", b""), "r+b") as file:
            for position in (MIB, 5 * MIB):
                file.seek(position)
                file.write(b"x" * 4096)
            file.truncate(9 * MIB)
        self.assertEqual(self.extents(0, 9 * MIB), [(MIB, MIB + 4096), (5 * MIB, 5 * MIB + 4096)])
        self.assertEqual(self.extents(2 * MIB, 9 * MIB), [(5 * MIB, 5 * MIB + 4096)])

    def test_they_end_with_the_file(self) -> None:
        self.write(b"file", b"x" * 5000)
        self.assertEqual(self.extents(0, 5000), [(0, 5000)])


class Attributes(Folder):
    def copy(self) -> Details:
        places = {key: {"path": os.fsdecode(self.path(name))} for key, name in (("from", b"from"), ("to", b"to"))}
        return attributes.copy_attributes(request_of(places))

    def test_an_acl_and_the_users_own_attributes_come_along(self) -> None:
        for name in (b"from", b"to"):
            self.write(name, b"")
        entries = ((1, 6, 0xFFFFFFFF), (2, 6, 4321), (4, 4, 0xFFFFFFFF), (16, 6, 0xFFFFFFFF), (32, 0, 0xFFFFFFFF))
        acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
        os.setxattr(self.path(b"from"), "system.posix_acl_access", acl)
        os.setxattr(self.path(b"from"), "user.origin", b"here")
        self.assertEqual(self.copy(), {"left": []})
        self.assertEqual(os.getxattr(self.path(b"to"), "system.posix_acl_access"), acl)
        self.assertEqual(os.getxattr(self.path(b"to"), "user.origin"), b"here")

    def test_a_label_that_the_target_does_not_take_is_told(self) -> None:
        for name in (b"from", b"to"):
            self.write(name, b"")
        refused = mock.patch.object(os, "setxattr", side_effect=OSError(errno.EOPNOTSUPP, "none"))
        with mock.patch.object(os, "listxattr", return_value=["security.selinux", "security.capability"]), refused:
            with mock.patch.object(os, "getxattr", return_value=b"label"):
                self.assertEqual(self.copy(), {"left": [{"attribute": "security.selinux", "errno": errno.EOPNOTSUPP}]})
