"""What a switch says to libvirt about one domain, and how it waits for a libvirtd that is down."""

import time
from typing import Callable, NamedTuple, Optional

from worker.domain_states import MIGRATING_OR_RESTORED, RESTFUL, is_running, is_shut_off, says_no_job
from worker.domain_xml import DomainXml, read_domain
from worker.errors import Failure
from worker.virsh import Reply, Virsh, command


PAUSE_SECONDS = 1.0


class State(NamedTuple):
    """As `domstate --reason` says it."""

    text: str
    #: Why the disks cannot be switched in it; None: they can.
    unfit: Optional[str]

    @property
    def is_running(self) -> bool:
        return is_running(self.text)


class Talk:
    def __init__(self, virsh: Virsh, domain: str, disk: str, may_wait: Callable[[], bool]) -> None:
        self.virsh = virsh
        self.domain = domain
        #: Any of its disks, for questions about jobs.
        self.disk = disk
        #: Whether a libvirtd that is down is waited for: once the switch has begun, also where QEMU has ended, since the next start goes by
        #: what libvirt has defined.
        self.may_wait = may_wait
        self.is_persistent = False

    def do(self, fixed: str, *words: str) -> Reply:
        """A change, told once: what it did is looked at afterwards."""
        return self.virsh.ask(command(fixed, self.domain, *words))

    def tell(self, line: str) -> Reply:
        """A whole command, which may be told twice."""
        return self.virsh.insist(line, self.may_wait)

    def wait_for_qemu(self) -> bool:
        """libvirt answers a question about jobs once it has done with QEMU what others have asked before.

        A libvirtd that has just come up asks QEMU first (qemuProcessReconnect(), 9.0).
        """
        return self.virsh.ask(command("blockjob --raw", self.domain, self.disk)).refused is None

    def look(self) -> Optional[DomainXml]:
        """None: libvirt shows no such domain."""
        self._settle()
        reply = self.tell(command("dumpxml", self.domain))
        return None if reply.refused is not None else read_domain(reply.text)

    def require(self) -> DomainXml:
        """For the begin, where nobody waits for a libvirtd that is down."""
        reply = self.tell(command("dumpxml", self.domain))
        if reply.refused is not None:
            raise Failure("refused", "libvirt does not show its domain: %s" % reply.refused)
        return read_domain(reply.text)

    def _settle(self) -> None:
        """After a refusal libvirt may not know yet what QEMU has done."""
        while self.virsh.was_refused:
            self.tell("hostname")
            if self.wait_for_qemu() or not self.may_wait() or self.has_ended():
                self.virsh.was_refused = False
            else:
                time.sleep(PAUSE_SECONDS)

    def has_ended(self) -> bool:
        """Whether libvirt says that the domain does not run, or shows none although it answers."""
        reply = self.tell(command("domstate", self.domain))
        return reply.refused is not None or is_shut_off(reply.text.strip())

    def definition(self) -> Optional[DomainXml]:
        """As it will start next; None for a transient domain, which has none. A refusal says neither.

        One that was persistent is asked at once: without a definition it tells what it runs on (qemuDomainFormatXML(), 9.0).
        """
        self.is_persistent = self.is_persistent or self._is_listed()
        if not self.is_persistent:
            return None
        reply = self.tell(command("dumpxml --inactive", self.domain))
        if reply.refused is None:
            return read_domain(reply.text)
        if self._is_listed():
            raise Failure("refused", "libvirt does not show the persistent definition: %s" % reply.refused)
        return None

    def _is_listed(self) -> bool:
        lasting = self.tell("list --all --persistent --uuid")
        if lasting.refused is not None:
            raise Failure("refused", "libvirt does not list its persistent domains: %s" % lasting.refused)
        return self.domain in lasting.text.split()

    def state(self) -> State:
        reply = self.virsh.ask(command("domstate --reason", self.domain))
        text = reply.text.strip()
        if reply.refused is not None:
            return State("", "libvirt does not tell its state: %s" % reply.refused)
        if is_running(text) or text in RESTFUL or (text == MIGRATING_OR_RESTORED and self._has_no_job()):
            return State(text, None)
        return State(text, "its domain is %s" % text)

    def _has_no_job(self) -> bool:
        job = self.virsh.ask(command("domjobinfo", self.domain))
        again = self.virsh.ask(command("domstate --reason", self.domain))
        return job.refused is None and says_no_job(job.text) and again.text.strip() == MIGRATING_OR_RESTORED
