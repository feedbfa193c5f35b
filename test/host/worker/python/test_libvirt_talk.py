import unittest
from typing import Callable, Dict, List

from worker.errors import Failure
from worker.libvirt_talk import Talk
from worker.virsh import Reply, Virsh

UUID = "3b241101-e2bb-4255-8caf-4136c566a962"
DOMAIN = "<domain id='1'><devices/></domain>"
REFUSED = Reply("", "access denied")


class Saying(Virsh):
    """A libvirtd that is there, with an answer to each command."""

    def __init__(self, answers: Dict[str, List[Reply]]) -> None:
        self.answers = answers
        self.was_refused = False

    def insist(self, line: str, may_wait: Callable[[], bool]) -> Reply:
        said = self.answers[line.split(" '")[0]]
        return said.pop(0) if len(said) > 1 else said[0]


LISTED, NOBODY = Reply(UUID + "\n", None), Reply("\n", None)


class Definition(unittest.TestCase):
    def of(self, listed: List[Reply], shown: Reply) -> object:
        virsh = Saying({"list --all --persistent --uuid": listed, "dumpxml --inactive": [shown]})
        return Talk(virsh, UUID, "vda", lambda: True).definition()

    def test_is_what_libvirt_shows(self) -> None:
        self.assertIsNotNone(self.of([LISTED], Reply(DOMAIN, None)))

    def test_is_none_for_a_domain_that_is_not_listed(self) -> None:
        self.assertIsNone(self.of([NOBODY], REFUSED))

    def test_is_none_for_a_domain_that_was_undefined_since(self) -> None:
        self.assertIsNone(self.of([LISTED, NOBODY], REFUSED))

    def test_that_libvirt_does_not_show_is_not_taken_for_none(self) -> None:
        with self.assertRaisesRegex(Failure, "does not show the persistent definition: access denied"):
            self.of([LISTED], REFUSED)

    def test_is_not_taken_for_none_where_libvirt_refuses_its_list(self) -> None:
        with self.assertRaisesRegex(Failure, "does not list its persistent domains: access denied"):
            self.of([REFUSED], REFUSED)
