"""The way back to a QEMU whose connection broke: when it ends."""

import unittest
from typing import Any, List, Optional
from unittest import mock

from worker import switches
from worker.connection import Peer


class FakeLine:
    def __init__(self, peer: Peer) -> None:
        self.connection = mock.Mock(peer=peer)
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


class Reconnected(unittest.TestCase):
    ours = Peer(7, 70)
    others = Peer(8, 80)

    def reconnected(self, peer: Peer, over: List[Optional[bool]], answers: List[Any]) -> Any:
        with mock.patch.object(switches, "has_ended", side_effect=over), mock.patch.object(switches, "Connection"), mock.patch.object(
            switches, "Line", side_effect=answers
        ), mock.patch("time.sleep"):
            return switches.reconnected(b"/qmp.sock", peer)

    def test_one_that_lives_is_waited_for_whoever_refuses_meanwhile(self) -> None:
        line = FakeLine(self.ours)
        self.assertIs(self.reconnected(self.ours, [False, False], [ConnectionRefusedError(), line]), line)

    def test_one_that_is_seen_to_have_ended_is_not_asked_for(self) -> None:
        self.assertIsNone(self.reconnected(self.ours, [True], []))

    def test_one_that_cannot_be_looked_at_is_over_where_nobody_listens_on_its_socket(self) -> None:
        self.assertIsNone(self.reconnected(self.ours, [None], [ConnectionRefusedError()]))

    def test_one_that_cannot_be_looked_at_is_over_where_another_has_its_socket(self) -> None:
        other = FakeLine(self.others)
        self.assertIsNone(self.reconnected(self.ours, [None], [other]))
        self.assertTrue(other.is_closed)

    def test_another_that_has_the_socket_of_one_that_lives_is_let_go(self) -> None:
        other, line = FakeLine(self.others), FakeLine(self.ours)
        self.assertIs(self.reconnected(self.ours, [False, False], [other, line]), line)
        self.assertTrue(other.is_closed)

    def test_one_that_was_never_seen_is_whoever_answers(self) -> None:
        line = FakeLine(self.others)
        self.assertIs(self.reconnected(Peer(7, None), [None], [line]), line)
