import json
import socket
from typing import Any

from support import Folder
from worker.connection import Connection
from worker.errors import Failure
from worker.line import Line


def never() -> None:
    """Never raises."""


class Lines(Folder):
    def setUp(self) -> None:
        super().setUp()
        server = socket.socket(socket.AF_UNIX)
        self.addCleanup(server.close)
        server.bind(self.path(b"qmp"))
        server.listen(1)
        server.settimeout(5)
        self.line = Line(self.connect(server))
        self.addCleanup(self.line.close)

    def connect(self, server: socket.socket) -> Connection:
        made = Greeted(self.path(b"qmp"), 5)
        self.qemu, _ = server.accept()
        self.addCleanup(self.qemu.close)
        return made

    def say(self, text: str) -> None:
        self.qemu.sendall(text.encode("ascii"))

    def answer(self, value: Any) -> None:
        """The next command, before it is sent."""
        self.say(json.dumps({"return": value, "id": "livedisk-%s-%d" % (self.line.run, self.line.sent + 1)}) + "\r\n")

    def test_events_and_replies_to_others_are_dropped(self) -> None:
        self.say('{"event": "STOP"}\r\n{"return": 1, "id": "livedisk-other-1"}\r\n')
        self.answer(2)
        self.assertEqual(self.line.execute("query-status", {}, never), 2)

    def test_several_commands_are_sent_before_the_first_is_answered_and_each_has_its_own_answer(self) -> None:
        said = [{"return": 2, "id": "livedisk-%s-2" % self.line.run}, {"error": {"desc": "no"}, "id": "livedisk-%s-1" % self.line.run}]
        self.say("".join(json.dumps(reply) + "\r\n" for reply in said))
        refused, returned = self.line.execute_all([("job-finalize", {"id": "a"}), ("query-jobs", {})], never)
        self.assertEqual((refused.refused and refused.refused.message, returned), ("no", (2, None)))
        sent = self.qemu.recv(4096).splitlines()[-2:]
        self.assertEqual([json.loads(line)["execute"] for line in sent], ["job-finalize", "query-jobs"])

    def test_a_successor_has_other_ids(self) -> None:
        self.answer("for the dead one")
        self.line.take_over()
        self.answer("for the successor")
        self.assertEqual(self.line.execute("query-status", {}, never), "for the successor")

    def test_the_rest_of_a_message_whose_beginning_a_dead_one_read_ends_the_connection(self) -> None:
        for half, rest in (('{"return": {"a": ', '1}}\r\n'), ('{\r\n    "return": {\r\n', '    }\r\n}\r\n')):
            self.setUp()
            self.say(half)
            self.line.wait(5)
            self.line.take_over()
            self.say(rest)
            self.answer(1)
            with self.assertRaises(Failure) as raised:
                self.line.execute("query-status", {}, never)
            self.assertEqual((raised.exception.name, raised.exception.details["why"]), ("monitor-closed", "not-json"))

    def test_half_a_message_is_given_back(self) -> None:
        for half, rest in (('{"event": ', '"STOP"}\r\n'), ('{\r\n    "event":\r\n', '    "STOP"\r\n}\r\n')):
            self.setUp()
            self.say(half)
            self.line.wait(5)
            left = self.line.left()
            self.line.connection.messages.go_on(b"what the parent had")
            self.line.give_back(left)
            self.say(rest)
            self.assertEqual(self.line.connection.messages.read(5), [{"event": "STOP"}])

    def test_one_that_is_given_back_as_useless_is_closed(self) -> None:
        self.line.give_back(None)
        self.assertEqual(self.qemu.recv(1), b"")


class Greeted(Connection):
    """By a server that says nothing by itself."""

    def _begin(self, deadline: float, check: Any) -> None:
        """Nothing is waited for."""
