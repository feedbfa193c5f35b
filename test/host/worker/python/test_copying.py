import ctypes
import errno
import os
import random
import re
import struct
from typing import Any, List, Tuple
from unittest import mock

from support import Folder, request_of
from worker import attributes, copying, extents, pace, transfers
from worker.errors import Details, Failure
from worker.requests import Request

MIB = 1024 * 1024


def gives_huge_pages() -> bool:
    """The kernel, to who asks."""
    try:
        with open("/sys/kernel/mm/transparent_hugepage/enabled") as file:
            return "[never]" not in file.read()
    except FileNotFoundError:
        return False


def told_of(address: int, key: str) -> List[str]:
    """What the kernel tells of the mapping there (proc(5), smaps)."""
    is_there = False
    with open("/proc/self/smaps") as file:
        for line in file:
            found = re.match("([0-9a-f]+)-([0-9a-f]+) ", line)
            if found:
                is_there = int(found.group(1), 16) <= address < int(found.group(2), 16)
            elif is_there and line.startswith(key):
                return line.split()[1:]
    return []


def address_of(view: memoryview) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(view))


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
            if transfers.is_direct(descriptor):
                raise OSError(errno.EINVAL, "direct")
            return readv(descriptor, buffers)

        with mock.patch.object(os, "readv", side_effect=refuse_direct):
            self.copy()
        self.assertEqual(self.read(b"to"), self.content)

    def test_a_file_system_without_direct_io_is_copied_to_all_the_same(self) -> None:
        with mock.patch.object(copying, "direct"):
            self.assertEqual(self.copy()["way"], "buffered")
        self.assertEqual(self.read(b"to"), self.content)

    def test_its_buffer_lies_in_huge_pages_where_the_kernel_gives_them(self) -> None:
        with transfers.buffer_of(4 * MIB) as view:
            self.assertEqual(len(view), 4 * MIB)
            view[:] = bytes(len(view))
            if gives_huge_pages():
                # not all of them where the memory is in pieces
                self.assertGreater(int(told_of(address_of(view), "AnonHugePages:")[0]), 0)

    def test_its_buffer_is_not_given_to_children_so_that_a_direct_transfer_cannot_go_to_their_copy(self) -> None:
        with transfers.buffer_of(MIB) as view:
            self.assertIn("dc", told_of(address_of(view), "VmFlags:"))

    def test_short_reads_and_writes_are_gone_on_with(self) -> None:
        readv, writev = os.readv, os.writev
        with mock.patch.object(copying, "direct"):
            with mock.patch.object(os, "readv", side_effect=lambda d, b: readv(d, [b[0][:70001]])):
                with mock.patch.object(os, "writev", side_effect=lambda d, b: writev(d, [b[0][:50001]])):
                    self.copy()
        self.assertEqual(self.read(b"to"), self.content)

    def events(self, request: Request) -> List[Details]:
        said: Any = request.state.outlet
        return [message["event"] for message in said.messages]

    def test_it_stops_between_two_pieces_when_it_is_cancelled_and_keeps_what_is_copied(self) -> None:
        request = self.request()
        move = copying.Copy.move
        pieces: List[int] = []

        def moved(it: copying.Copy, piece: memoryview, offset: int) -> None:
            move(it, piece, offset)
            pieces.append(offset)
            request.cancelled.set()

        with mock.patch.object(copying.Copy, "move", moved), mock.patch.object(copying, "READ_BYTES", MIB):
            with self.assertRaises(Failure) as caught:
                copying.copy(request)
        self.assertEqual((caught.exception.name, pieces), ("cancelled", [0]))
        last = {"dataBytes": MIB, "dataTotalBytes": 3 * MIB + 77, "copiedBytes": MIB, "resumeBytes": MIB}
        self.assertEqual(self.events(request)[-1], last)
        self.assertEqual(self.read(b"to"), self.content[:MIB] + bytes(2 * MIB + 77))

    def test_an_error_of_writing_back_is_the_copys(self) -> None:
        with mock.patch.object(os, "fsync", side_effect=OSError(errno.EIO, "lost")):
            with self.assertRaises(OSError) as caught:
                self.copy()
        self.assertEqual(caught.exception.errno, errno.EIO)

    def test_what_was_written_since_the_last_sync_that_worked_does_not_count(self) -> None:
        fsync = mock.Mock(side_effect=[None, OSError(errno.EIO, "lost"), None, None])
        request = self.request()
        with mock.patch.multiple(copying, RESUME_BYTES=MIB, READ_BYTES=MIB), mock.patch.object(os, "fsync", fsync):
            with self.assertRaises(OSError):
                copying.copy(request)
        self.assertEqual(self.events(request)[-1]["resumeBytes"], MIB)
        self.assertEqual(self.read(b"to"), self.content[:MIB] + bytes(2 * MIB + 77))

    def test_a_piece_that_found_no_room_gives_back_what_it_took(self) -> None:
        write = transfers.write_fully

        def full(target: int, view: memoryview, offset: int) -> None:
            write(target, view, offset)
            if offset >= 2 * MIB:
                raise OSError(errno.ENOSPC, "full")

        request = self.request()
        with mock.patch.multiple(copying, READ_BYTES=MIB, write_fully=full), self.assertRaises(OSError) as caught:
            copying.copy(request)
        self.assertEqual(caught.exception.errno, errno.ENOSPC)
        self.assertEqual(self.events(request)[-1]["resumeBytes"], 2 * MIB)
        self.assertEqual(self.read(b"to"), self.content[:2 * MIB] + bytes(MIB + 77))
        self.assertLessEqual(os.stat(self.path(b"to")).st_blocks * 512, 2 * MIB + 65536)

    def test_a_resume_point_is_told_only_of_what_is_durable(self) -> None:
        """Each piece is told: each look at the clock finds that some time has gone."""
        fsync = mock.Mock(side_effect=os.fsync)
        clock = mock.Mock(side_effect=[number / 4 for number in range(1000)])
        pieces = mock.patch.multiple(copying, RESUME_BYTES=2 * MIB, READ_BYTES=MIB, RESUME_SECONDS=1000)
        request = self.request()
        with pieces, mock.patch.object(os, "fsync", fsync), mock.patch.object(copying, "monotonic", clock):
            copying.copy(request)
        events = [(event["copiedBytes"], event["resumeBytes"]) for event in self.events(request)]
        size = len(self.content)
        expected = [(0, 0), (MIB, 0), (2 * MIB, 2 * MIB), (3 * MIB, 2 * MIB), (size, 2 * MIB), (size, size)]
        self.assertEqual(events, expected)
        self.assertEqual(fsync.call_count, 2)

    def test_blocks_of_zeros_are_holes(self) -> None:
        self.write(b"from", bytes(2 * MIB) + self.content)
        self.copy()
        self.assertEqual(self.read(b"to"), self.read(b"from"))
        self.assertLess(os.stat(self.path(b"to")).st_blocks * 512, 4 * MIB)

    def test_what_lies_behind_the_resume_point_does_not_shine_through(self) -> None:
        self.write(b"from", self.content[:MIB] + bytes(2 * MIB))
        self.write(b"to", b"x" * (3 * MIB))
        request = self.request()
        request.arguments.values["resumeBytes"] = MIB
        copying.copy(request)
        self.assertEqual(self.read(b"to"), b"x" * MIB + bytes(2 * MIB))

    def test_a_copy_shorter_than_a_block_goes_on_where_it_was_cut_behind_its_last_byte(self) -> None:
        """Also where what came behind that, as qemu-img, has made the partial longer; and by reflink, which makes nothing shorter."""
        for reflink in ("never", "try"):
            self.write(b"from", b"short")
            self.write(b"to", b"short and more")
            request = self.request()
            request.arguments.values.update(resumeBytes=5, reflink=reflink)
            copying.copy(request)
            self.assertEqual(self.read(b"to"), b"short")

    def test_the_rate_is_changed_by_input_and_a_wrong_one_refused(self) -> None:
        request = self.request()
        request.arguments.values["bytesPerSecond"] = 1
        request.give(b"0")
        copying.copy(request)
        self.assertEqual(self.read(b"to"), self.content)
        self.write(b"to", b"")
        request.give(b"fast")
        with self.assertRaises(Failure) as caught:
            copying.copy(request)
        self.assertEqual(caught.exception.name, "bad-request")


class Extents(Folder):
    def extents(self, start: int, size: int) -> List[Tuple[int, int]]:
        with open(self.path(b"file"), "rb") as file:
            found = list(extents.extents(file.fileno(), start, size))
            self.assertEqual(extents.data_bytes(file.fileno(), start, size), sum(last - first for first, last in found))
            return found

    def test_only_parts_with_data_are_told(self) -> None:
        with open(self.write(b"file", b""), "r+b") as file:
            for position in (MIB, 5 * MIB):
                file.seek(position)
                file.write(b"x" * 4096)
            file.truncate(9 * MIB)
        self.assertEqual(self.extents(0, 9 * MIB), [(MIB, MIB + 4096), (5 * MIB, 5 * MIB + 4096)])
        self.assertEqual(self.extents(2 * MIB, 9 * MIB), [(5 * MIB, 5 * MIB + 4096)])

    def test_short_holes_are_part_of_them(self) -> None:
        with open(self.write(b"file", b""), "r+b") as file:
            for position in (MIB, 2 * MIB - 4096, 4 * MIB):
                file.seek(position)
                file.write(b"x" * 5000)
            file.truncate(9 * MIB)
        self.assertEqual(self.extents(0, 9 * MIB), [(MIB, 2 * MIB + 4096), (4 * MIB, 4 * MIB + 8192)])

    def test_they_have_all_data_in_order_and_no_byte_twice_wherever_a_copy_goes_on(self) -> None:
        chance = random.Random(7)
        for _ in range(40):
            written: List[Tuple[int, int]] = []
            with open(self.write(b"file", b""), "r+b") as file:
                for _ in range(chance.randrange(8)):
                    position, length = chance.randrange(20 * MIB), chance.randrange(1, 9000)
                    file.seek(position)
                    file.write(b"x" * length)
                    written.append((position, position + length))
                size = max([chance.randrange(1, 20 * MIB)] + [last for _, last in written])
                file.truncate(size)
            start = extents.aligned_down(chance.randrange(size))
            position = start
            found = self.extents(start, size)
            for first, last in found:
                self.assertTrue(position <= first < last <= size and first % 4096 == 0 and (last % 4096 == 0 or last == size))
                position = last
            for begin, end in written:
                if end > start:
                    self.assertTrue(any(first <= max(begin, start) and end <= last for first, last in found))

    def test_they_end_with_the_file(self) -> None:
        self.write(b"file", b"x" * 5000)
        self.assertEqual(self.extents(0, 5000), [(0, 5000)])


class Sparing(Folder):
    def test_under_a_limit_little_is_in_flight_at_a_time(self) -> None:
        for rate, expected in ((0, 9 * MIB), (1 << 40, MIB // 2), (1, 4096), (100 * 4096, 10 * 4096)):
            self.assertEqual(pace.Pace(request_of({"bytesPerSecond": rate})).step_bytes(copying.READ_BYTES), expected)
        self.assertEqual(copying.WRITE_BYTES, MIB)


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
