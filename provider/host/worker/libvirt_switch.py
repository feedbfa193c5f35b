"""The switch of a guest that libvirt manages. Order and reasons: docs/decisions/0003.

libvirt has no `pending`, and no all or none: the guest is suspended, and each disk is pivoted. Where a disk is then, libvirt's XML says,
and never the answer to a command.
"""

from typing import Callable, Dict, List, Optional, Tuple

from worker.connection import Peer
from worker.definitions import Place, define, where_is
from worker.domain_xml import DiskXml, DomainXml, Image, Job
from worker.errors import Details, Failure, words_of
from worker.holders import holders_of_descriptor
from worker.image_lock import hold_images, release_images
from worker.libvirt_plan import LibvirtDisk, LibvirtPlan
from worker.libvirt_talk import Talk
from worker.pausing import Pausing
from worker.processes import is_alive, is_running
from worker.switch_names import apply, revert
from worker.virsh import Virsh


class Unfit(Exception):
    """Why nothing is pivoted."""

    def __init__(self, target: str, why: str) -> None:
        super().__init__(why)
        self.target = target


class Strayed(Unfit):
    """The live chain is another one than that on which the job began: the job is to be called off."""


class LibvirtSwitch:
    def __init__(self, plan: LibvirtPlan, virsh: Virsh, writer: Optional[Peer]) -> None:
        self.plan = plan
        #: The QEMU that had the disks at the begin. None: it cannot be seen, and counts as alive; then the domain's number alone tells.
        self.writer = writer
        self.has_begun = False
        #: Whether another QEMU has taken the place of the one that was suspended.
        self.is_replaced = False
        self.talk = Talk(virsh, plan.domain, plan.disks[0].target, lambda: self.has_begun)
        self.pausing = Pausing(self.talk, plan.switch_lock)
        self.trouble: List[str] = []

    def run(self) -> Details:
        """From jobs that are ready to the end."""
        try:
            before = self.talk.require()
            number = require_right(self.plan, before)
            require_definition(self.plan, self.talk.definition())
        except (Unfit, Failure) as reason:
            return called_off(reason)
        self.has_begun = True
        suspended = self.pausing.suspend(before.is_recorded)
        if suspended.by is None:
            return end("refused", suspended.why, [])
        result = self.while_suspended(number)
        if suspended.by == "us" and self.is_alive() and not self.is_replaced:
            how = self.pausing.resume()
            self.trouble += [] if how is None or result["end"] in ("ended", "lost") else [how]
        elif not self.is_alive() and result["end"] in ("switched", "stayed"):
            result["end"] = "ended"
        return dict(self.with_trouble(result), pauseSeconds=self.pausing.resumed_at - self.pausing.suspended_at)

    def recover(self) -> Details:
        """After a death in the middle. What it has told libvirt is over, and where the guest is decides."""
        self.has_begun = self.pausing.is_suspended = True
        self.talk.virsh.was_refused = True  # so that libvirt has heard from QEMU before it is believed
        seen = self.talk.look()
        is_same = seen is not None and seen.number is not None and self.is_alive()
        hold_images(sources_of(self.plan.disks))  # who has one open came before us
        try:
            result = self.follow(seen, is_same, {})
        finally:
            release_sources(self.plan.disks)
        how = self.pausing.resume() if is_same and seen is not None and seen.is_recorded else None
        self.trouble += [] if how is None else [how]
        return self.with_trouble(result)

    def with_trouble(self, result: Details) -> Details:
        why = [result["why"]] if result["why"] else []
        return dict(result, why="; ".join(why + self.trouble) or None)

    def is_alive(self) -> bool:
        return self.writer is None or is_alive(*self.writer)

    def while_suspended(self, number: int) -> Details:
        """The sources are held, so that no other QEMU opens one. Whatever fails, the guest must go on afterwards."""
        try:
            hold_sources(self.plan.disks)
            require_right(self.plan, self.talk.look(), number)
            self.mark()
            return self.pivot_all(number)
        except Unfit as reason:
            return called_off(reason)
        except Exception as reason:
            return end("failed", words_of(reason), [])
        finally:
            release_sources(self.plan.disks)

    def mark(self) -> None:
        for disk in self.plan.disks:
            try:
                apply(disk.marks)
            except (OSError, Failure) as reason:
                for marked in self.plan.disks:
                    revert(marked.marks)
                raise Unfit(disk.target, "its manifests cannot be written: %s" % words_of(reason)) from None

    def pivot_all(self, number: int) -> Details:
        """Before each pivot the QEMU is the one that was suspended."""
        seen: Optional[DomainXml] = None
        refused: Dict[str, str] = {}
        for disk in self.plan.disks:
            reply = self.talk.do("blockjob --pivot", disk.target)
            if reply.refused is not None:
                refused[disk.target] = reply.refused
            seen = self.talk.look()
            if not self.is_same(seen, number):
                break
        self.is_replaced = seen is not None and seen.number not in (number, None)
        return self.follow(seen, self.is_same(seen, number), refused)

    def is_same(self, seen: Optional[DomainXml], number: int) -> bool:
        """A libvirtd that was restarted may give a number again."""
        return seen is not None and seen.number == number and self.is_alive()

    def follow(self, seen: Optional[DomainXml], is_same: bool, refused: Dict[str, str]) -> Details:
        """Where the guest runs, or would start, decides. The definition, the manifests and the old names follow it, in this order."""
        live = None if seen is None or seen.number is None else seen
        decides = self.talk.definition() if live is None else live
        places = [Place(disk, where_is(disk, decides)) for disk in self.plan.disks]
        self.attempt(lambda: define(self.talk, places, live))
        for disk, is_moved in [(place.disk, place.is_moved) for place in places]:
            self.attempt(lambda: self.write_down(disk, is_same) if is_moved else revert(disk.marks))
        stayed = [place.disk.target for place in places if not place.is_moved]
        if not is_same:
            return self.gone(stayed)
        self.trouble += ["%s: %s" % (target, refused.get(target, "it did not pivot")) for target in stayed]
        return end("stayed" if stayed else "switched", None, stayed)

    def gone(self, stayed: List[str]) -> Details:
        """libvirt does not show the domain that was suspended.

        A libvirtd that was killed while it ended a job cannot always read its record of the guest afterwards ("unknown mirror job type",
        qemuBlockJobEventProcess(), 9.0): it takes the guest for shut off, and its QEMU goes on without it, suspended.
        """
        if self.writer is not None and is_running(*self.writer):
            why = "libvirt shows it as shut off, though its QEMU (process %d) lives, and stays suspended" % self.writer.pid
            return end("lost", why, stayed)
        return end("ended", None, stayed)

    def attempt(self, step: Callable[[], None]) -> None:
        """What fails is told: no way leads back, and the guest must go on."""
        try:
            step()
        except (OSError, Failure) as reason:
            self.trouble.append(words_of(reason))

    def write_down(self, disk: LibvirtDisk, is_same: bool) -> None:
        apply(disk.manifests)
        # as long as the QEMU lives that was suspended, the image lock has kept each other one from opening the image
        if disk.stale and (is_same or all(is_closed(move.file, self.plan.worker) for move in disk.stale)):
            apply(disk.stale)


def require_right(plan: LibvirtPlan, domain: Optional[DomainXml], number: Optional[int] = None) -> int:
    """The domain's number, if its chains and jobs are the plan's."""
    first = plan.disks[0].target
    if domain is None or domain.number is None:
        raise Unfit(first, "its domain does not run")
    if number is not None and domain.number != number:
        raise Unfit(first, "its domain was started again meanwhile")
    for disk in plan.disks:
        require_chain(disk, domain.disks.get(disk.target))
        require_job(disk, domain.disks[disk.target].job)
    return domain.number


def require_chain(disk: LibvirtDisk, found: Optional[DiskXml]) -> None:
    if found is None or found.image is None:
        raise Unfit(disk.target, "the guest has no such disk with a file any more")
    live = [found.image] if found.chain is None else found.chain
    expected = disk.chain[:1] if found.chain is None else disk.chain
    if len(live) != len(expected) or not all(one.format == of.image.format and of.is_at(one.path) for one, of in zip(live, expected)):
        planned = chain_text([of.image for of in disk.chain])
        raise Strayed(disk.target, "its chain is %s, and the switch was planned for %s" % (chain_text(live), planned))


def chain_text(images: List[Image]) -> str:
    return " <- ".join("%s (%s)" % image for image in images)


def require_job(disk: LibvirtDisk, job: Optional[Job]) -> None:
    if job is None or job.kind != disk.job or not disk.destination.is_at(job.path):
        raise Unfit(disk.target, "its job onto %s is gone" % disk.destination.image.path)
    if not job.is_ready:
        raise Unfit(disk.target, "its job onto %s is not ready" % disk.destination.image.path)


def require_definition(plan: LibvirtPlan, definition: Optional[DomainXml]) -> None:
    """An image that the definition gives to another disk is that one's after the next start, without what is written from now on."""
    for disk in plan.disks:
        for target, slot in ({} if definition is None else definition.disks).items():
            if target != disk.target and slot.image is not None and disk.image_at(slot.image.path) is not None:
                raise Unfit(disk.target, "the persistent definition gives its image %s to the disk %s" % (slot.image.path, target))


def hold_sources(disks: List[LibvirtDisk]) -> None:
    """With the source locked, libvirt still pivots a job that is ready (raw and qcow2, libvirt 9.0 on QEMU 7.2)."""
    others = hold_images(sources_of(disks))
    if others:
        raise Unfit(*others[0])


def sources_of(disks: List[LibvirtDisk]) -> List[Tuple[str, int]]:
    return [(disk.target, disk.source) for disk in disks if disk.source is not None]


def release_sources(disks: List[LibvirtDisk]) -> None:
    release_images(disk.source for disk in disks if disk.source is not None)


def is_closed(file: int, worker: Peer) -> bool:
    """Whether no process has it open but this one and the worker. What this account cannot see counts as open."""
    found = holders_of_descriptor(file)
    return not found.hidden and all((holder["pid"], holder["startTime"]) == worker for holder in found.open)


def called_off(reason: Exception) -> Details:
    disks = [reason.target] if isinstance(reason, Unfit) else []
    return end("strayed" if isinstance(reason, Strayed) else "refused", words_of(reason), disks)


def end(how: str, why: Optional[str], disks: List[str]) -> Details:
    return {"end": how, "why": why, "disks": disks}
