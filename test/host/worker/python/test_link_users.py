import os
from typing import List

from support import Folder
from worker.link_users import Link, defined, finds, key_of, leads_through
from worker.qemu_names import names_in


class OfALink(Folder):
    """`link` leads to `images`, which has `other` and `own`; `around` leads to `link`."""

    def setUp(self) -> None:
        super().setUp()
        os.mkdir(self.path(b"images"))
        self.write(b"images/other", b"")
        self.write(b"images/own", b"")
        os.symlink(b"images", self.path(b"link"))
        os.symlink(self.path(b"link"), self.path(b"around"))
        own = key_of(os.stat(self.path(b"images/own")))
        self.link = Link(key_of(os.lstat(self.path(b"link"))), os.path.realpath(self.path(b"link")), {own})

    def finds(self, *names: bytes) -> List[bytes]:
        return [name for name in names if finds(self.link, self.path(name))]

    def test_it_is_used_by_who_names_a_file_through_it_or_through_a_link_to_it(self) -> None:
        names = (b"link/other", b"link//./other", b"images/../link/other", b"around/other")
        self.assertEqual(self.finds(*names), list(names))

    def test_a_file_that_moves_or_is_not_there_or_is_named_by_its_own_place_does_not_use_it(self) -> None:
        self.assertEqual(self.finds(b"link/own", b"link/none", b"images/other", b"link", b"link/"), [])

    def test_links_that_lead_back_to_themselves_end(self) -> None:
        os.symlink(b"back", self.path(b"back"))
        self.assertFalse(leads_through(self.path(b"back"), self.link.itself))

    def test_it_is_used_by_a_domain_that_is_defined_with_it_and_not_by_what_cannot_be_read(self) -> None:
        definition = b"<domain><name>db</name><os><nvram>%s</nvram></os><devices><disk><source file='%s'/></disk></devices></domain>"
        self.write(b"db.xml", definition % (self.path(b"images/other"), self.path(b"around/other")))
        self.write(b"torn.xml", definition[:20])
        self.assertEqual(
            defined(self.link, self.path(b"*.xml")),
            [{"who": "the domain db", "path": os.fsdecode(self.path(b"around/other"))}],
        )


class OfQemu(Folder):
    def test_names_stand_in_options_in_json_and_by_themselves(self) -> None:
        words = {
            b"/a/disk=1.img": [b"/a/disk=1.img"],
            b"file=/a,,b/disk,format=raw": [b"/a,b/disk"],
            b"driver=qcow2,file.filename=file:/a/disk": [b"/a/disk"],
            b'{"driver":"raw","file":{"driver":"file","filename":"/a/\\u00e4"}}': [b"/a/\xc3\xa4"],
            b'file=json:{"file":{"filename":"/a/disk"},,"backing":[{"filename":"/a/base"}]}': [b"/a/disk", b"/a/base"],
            b"-drive": [],
            b"unix:/run/qmp.sock,server=on": [],
            b"{no json": [],
        }
        for word, names in words.items():
            self.assertEqual(list(names_in(word)), names, word)
