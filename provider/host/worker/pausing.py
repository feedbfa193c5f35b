"""Suspending a guest of libvirt's for a switch, and resuming it: whoever else pauses it keeps it paused."""

import time
from typing import NamedTuple, Optional
from xml.sax.saxutils import quoteattr

from worker.domain_states import is_over, is_running
from worker.domain_xml import NAMESPACE
from worker.libvirt_talk import Talk
from worker.virsh import command

PAUSE_SECONDS = 1.0


class Suspended(NamedTuple):
    #: `us`, or `others`, who keep it paused; None: it is not suspended.
    by: Optional[str]
    #: Why it is not.
    why: Optional[str]


class Pausing:
    """What is recorded first lasts until the guest runs again, or its QEMU ends: so a later run knows who has suspended it."""

    def __init__(self, talk: Talk, switch_lock: str) -> None:
        self.talk = talk
        element = "<suspended switchLock=%s/>" % quoteattr(switch_lock)
        self.record = command("metadata --live --uri %s --key livedisk" % NAMESPACE, "--domain", talk.domain, "--set", element)
        self.end_record = command("metadata --live --uri %s --remove" % NAMESPACE, "--domain", talk.domain)
        #: Whether the guest stands still by us, or may be about to.
        self.is_suspended = False
        self.suspended_at = 0.0
        self.resumed_at = 0.0

    def suspend(self, is_recorded: bool) -> Suspended:
        """`is_recorded`: a switch has suspended it, and was cut."""
        state = self.talk.state()
        if state.unfit is not None:
            return Suspended(None, state.unfit)
        if not state.is_running:
            return Suspended(None, "a switch that was cut has suspended it") if is_recorded else Suspended("others", None)
        recorded = self.talk.virsh.ask(self.record)
        state = self.talk.state()
        if recorded.refused is not None or not state.is_running:
            self.forget()
            why = recorded.refused if state.unfit is None else state.unfit
            return Suspended("others" if why is None else None, why)
        self.is_suspended = True
        self.suspended_at = time.monotonic()
        stopped = self.talk.do("suspend")
        if stopped.refused is None:
            return Suspended("us", None)
        self.resume()  # nobody knows whether QEMU has stopped, or is about to
        return Suspended(None, stopped.refused)

    def resume(self) -> Optional[str]:
        """Until libvirt says that it runs. None: it does; else how it is instead.

        A resume that fails is not a refusal: libvirtd may be down, or QEMU busy with another's question, for which libvirt waits 30 s.
        A state counts only after an answer for which libvirt has waited for QEMU: one that has just come up says what its status file says.
        """
        while True:
            is_sure = self.talk.do("resume").refused is None or self.talk.wait_for_qemu()
            self.resumed_at = time.monotonic()
            state = self.talk.state().text
            if is_sure and is_over(state):
                self.is_suspended = False
                self.forget()
                return None if is_running(state) else "its domain is %s" % state
            if not self.talk.may_wait() or self.talk.has_ended():
                return "the guest has ended"
            time.sleep(PAUSE_SECONDS)

    def forget(self) -> None:
        while self.talk.tell(self.end_record).refused is not None and self.talk.may_wait() and not self.talk.has_ended():
            time.sleep(PAUSE_SECONDS)
