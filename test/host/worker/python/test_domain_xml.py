import unittest

from worker.domain_states import is_over, says_no_job
from worker.domain_xml import Image, Job, disk_at, read_domain
from worker.errors import Failure

DISK = """<disk type='file'><driver name='qemu' type='qcow2' cache='none'/><source file='/a/top' index='3'/>%s
<target dev='vda' bus='virtio'/>%s<serial>S</serial></disk>"""
BELOW = "<backingStore type='file'><format type='raw'/><source file='/a/base'/>%s</backingStore>"


def domain(disk: str, more: str = "") -> str:
    return "<domain id='7'><metadata>%s</metadata><devices>%s</devices></domain>" % (more, disk)


class OfADomain(unittest.TestCase):
    def test_the_chain_is_told_only_where_the_xml_ends_it(self) -> None:
        whole = read_domain(domain(DISK % (BELOW % "<backingStore/>", ""))).disks["vda"]
        self.assertEqual(whole.chain, [Image("/a/top", "qcow2"), Image("/a/base", "raw")])
        for left in ("", BELOW % ""):
            self.assertIsNone(read_domain(domain(DISK % (left, ""))).disks["vda"].chain)

    def test_a_job_is_told_with_where_it_goes(self) -> None:
        mirror = "<mirror type='file' job='active-commit' ready='%s'><source file='/a/base'/></mirror>"
        for ready in ("yes", "abort"):
            found = read_domain(domain(DISK % ("", mirror % ready))).disks["vda"]
            self.assertEqual(found.job, Job("active-commit", "/a/base", ready == "yes"))

    def test_it_runs_where_it_has_a_number_and_a_switch_is_recorded_by_its_namespace(self) -> None:
        ours = "<x:suspended xmlns:x='urn:pulumi-livedisk:switch' switchLock='/run/l'/>"
        found = read_domain(domain("", ours))
        self.assertEqual((found.number, found.is_recorded), (7, True))
        other = read_domain("<domain><metadata><x:suspended xmlns:x='urn:other'/></metadata></domain>")
        self.assertEqual((other.number, other.is_recorded), (None, False))

    def test_a_disk_elsewhere_keeps_all_but_source_format_and_what_goes_with_the_old_source(self) -> None:
        mirror = "<mirror type='file'><source file='/b'/></mirror>"
        found = read_domain(domain(DISK % (BELOW % "<backingStore/>", mirror))).disks["vda"]
        text = disk_at(found, Image('/b/"x" & <y>', "raw"))
        again = read_domain(domain(text)).disks["vda"]
        self.assertEqual((again.image, again.job), (Image('/b/"x" & <y>', "raw"), None))
        self.assertNotIn("backingStore", text)
        self.assertIn("<serial>S</serial>", text)
        self.assertIn('cache="none"', text)

    def test_what_is_not_libvirts_is_refused(self) -> None:
        for text in ("<!DOCTYPE d [<!ENTITY e 'x'>]><domain/>", "<domain>", ""):
            with self.assertRaises(Failure):
                read_domain(text)


class OfAState(unittest.TestCase):
    def test_a_resumed_guest_runs_or_has_stopped_by_itself(self) -> None:
        self.assertTrue(all(is_over(state) for state in ("running (unpaused)", "paused (I/O error)", "crashed (panicked)")))
        self.assertFalse(any(is_over(state) for state in ("paused (user)", "paused (migrating)", "shut off (destroyed)", "")))

    def test_a_job_is_ruled_out_only_where_libvirt_says_so(self) -> None:
        self.assertTrue(says_no_job("Job type:         None   \n\n"))
        self.assertFalse(any(says_no_job(text) for text in ("", "Job type: Unbounded\n", "None\n")))
