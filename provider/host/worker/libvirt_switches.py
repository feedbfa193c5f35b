"""The operation of a switch through libvirt. A child carries it out, as on QEMU (switches.py)."""

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Callable, List, Optional, Set

from worker.connection import Peer
from worker.errors import Details
from worker.handing import Tell
from worker.holders import holders_of_descriptor, names_qemu
from worker.requests import Request, operation
from worker.switch_plan import descriptors_of_moves
from worker.switches import carried, locks_of
from worker.text import to_bytes, to_text
from worker.virsh import Virsh
from worker.witness import Witness

if TYPE_CHECKING:
    from worker.libvirt_plan import LibvirtPlan
    from worker.libvirt_switch import LibvirtSwitch


@operation("libvirt-switch-run", changes=True)
def run(request: Request) -> Details:
    """Jobs that are ready are pivoted. Never cut: a cancelled request is carried to its end.

    From its begin on nothing is asked of the client, and nothing waits for it: it is told how long libvirt has been silent. Where the child
    dies, the next one ends what it has begun.
    """
    from worker.libvirt_plan import read_libvirt_plan  # with its parser of XML only where it is needed: a worker starts at once

    with ExitStack() as stack:
        plan = read_libvirt_plan(request, stack)
        locks = locks_of(request, stack, [to_text(move.new.name) for disk in plan.disks for move in disk.manifests])
        witness = Witness()
        stack.callback(witness.close)
        keep = locks | {witness.file} | descriptors_of(plan)
        first, again = [partial(step, plan, writer_of(plan), sorted(locks), witness) for step in (begin, recover)]
        done = carried(request.state.fork_server, keep, first, again, request.tell)
    return done


def begin(plan: "LibvirtPlan", writer: Optional[Peer], locks: List[int], witness: Witness, tell: Tell) -> Details:
    return with_virsh(lambda switch: switch.run(), plan, writer, virsh_of(plan, locks, witness), tell)


def recover(plan: "LibvirtPlan", writer: Optional[Peer], locks: List[int], witness: Witness, tell: Tell) -> Details:
    return with_virsh(lambda switch: switch.recover(), plan, writer, virsh_of(plan, locks, witness), tell)


def virsh_of(plan: "LibvirtPlan", locks: List[int], witness: Witness) -> Virsh:
    return Virsh(plan.uri, locks + [witness.take()], witness.list)


def with_virsh(
    step: "Callable[[LibvirtSwitch], Details]", plan: "LibvirtPlan", writer: Optional[Peer], virsh: Virsh, tell: Tell
) -> Details:
    from worker.libvirt_switch import LibvirtSwitch

    switch = LibvirtSwitch(plan, virsh, writer)
    virsh.silence.tell = lambda seconds: tell({"silentSeconds": round(seconds), "isSuspended": switch.pausing.is_suspended})
    try:
        return step(switch)
    finally:
        virsh.close()


def descriptors_of(plan: "LibvirtPlan") -> Set[int]:
    sources = {disk.source for disk in plan.disks if disk.source is not None}
    return sources | descriptors_of_moves([move for disk in plan.disks for move in disk.marks + disk.manifests + disk.stale])


def writer_of(plan: "LibvirtPlan") -> Optional[Peer]:
    """The QEMU that writes to the sources. None: it cannot be seen."""
    seen: Set[Peer] = set()
    for source in [disk.source for disk in plan.disks if disk.source is not None]:
        for holder in holders_of_descriptor(source).open:
            if holder["access"] == "writes" and names_qemu(to_bytes(holder["program"])):
                seen.add(Peer(holder["pid"], holder["startTime"]))
    return seen.pop() if len(seen) == 1 else None
