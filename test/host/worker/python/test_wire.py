import json
import os
import threading
import unittest
from typing import List, Tuple
from unittest import mock

from worker import wire
from worker.errors import Failure
from worker.wire import Inlet, Outlet


class Pipe(unittest.TestCase):
    def setUp(self) -> None:
        self.reading, self.writing = os.pipe()
        self.addCleanup(os.close, self.reading)

    def say(self, data: bytes) -> None:
        os.write(self.writing, data)


class Input(Pipe):
    def lines(self, inlet: Inlet, count: int) -> List[bytes]:
        found: List[bytes] = []
        while len(found) < count and not inlet.is_over:
            found += inlet.lines(1)
        return found

    def test_lines_come_whole_however_they_are_cut(self) -> None:
        inlet = Inlet(self.reading)
        self.say(b'{"a"')
        self.assertEqual(inlet.lines(1), [])
        self.say(b":1}\n{}\n{")
        self.assertEqual(self.lines(inlet, 2), [b'{"a":1}', b"{}"])
        self.say(b"}\n")
        self.assertEqual(self.lines(inlet, 1), [b"{}"])
        os.close(self.writing)

    def test_its_end_is_told(self) -> None:
        inlet = Inlet(self.reading)
        os.close(self.writing)
        self.assertEqual(inlet.lines(1), [])
        self.assertTrue(inlet.is_over)

    def test_a_line_that_is_too_long_ends_it(self) -> None:
        inlet = Inlet(self.reading)
        with mock.patch.object(wire, "LINE_BYTES_AT_MOST", 1000):
            self.say(b"x" * 1001)
            inlet.lines(1)
        os.close(self.writing)
        self.assertTrue(inlet.is_over)


class Output(Pipe):
    def filled(self) -> Tuple[Outlet, int]:
        """An outlet whose client does not read, with as much in it as fits."""
        outlet = Outlet(self.writing)
        count = 0
        while outlet.queued < wire.QUEUED_BYTES_AT_MOST:
            outlet.send_now({"text": "x" * 1000000})
            count += 1
        return outlet, count

    def test_messages_come_in_order(self) -> None:
        outlet = Outlet(self.writing)
        for number in range(100):
            outlet.send({"number": number})
        outlet.close(5)
        os.close(self.writing)
        with os.fdopen(os.dup(self.reading), "rb") as file:
            self.assertEqual([json.loads(line.decode())["number"] for line in file], list(range(100)))

    def test_a_client_that_does_not_read_never_stops_the_main_loop(self) -> None:
        outlet, _ = self.filled()
        outlet.send_now({"still": "not blocked"})
        outlet.close(0)

    def test_who_waits_for_room_goes_on_when_the_worker_ends(self) -> None:
        outlet, _ = self.filled()
        waiting = threading.Thread(target=lambda: outlet.send({"a": 1}), daemon=True)
        waiting.start()
        waiting.join(0.1)
        self.assertTrue(waiting.is_alive())
        outlet.stop_waiting()
        waiting.join(5)
        self.assertFalse(waiting.is_alive())
        outlet.close(0)

    def test_an_answer_that_is_too_long_is_a_failure(self) -> None:
        with mock.patch.object(wire, "LINE_BYTES_AT_MOST", 1000):
            with self.assertRaises(Failure) as caught:
                wire.encode({"text": "x" * 1000})
        os.close(self.writing)
        self.assertEqual(caught.exception.name, "too-large")
