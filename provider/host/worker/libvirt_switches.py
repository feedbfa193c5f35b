"""The operation of a switch through libvirt. A child of the worker carries it out, as on QEMU (switches.py)."""

from contextlib import ExitStack
from typing import TYPE_CHECKING, Callable, Set

from worker.connection import Peer
from worker.errors import Details
from worker.forked import Tell
from worker.holders import holders_of_descriptor, names_qemu
from worker.processes import is_alive
from worker.requests import Request, operation
from worker.switch_plan import descriptors_of_moves
from worker.switches import carried, locks_of
from worker.text import to_bytes, to_text
from worker.virsh import Virsh
from worker.witness import Witness

if TYPE_CHECKING:
    from worker.libvirt_plan import LibvirtPlan


@operation("libvirt-switch-run", changes=True)
def run(request: Request) -> Details:
    """Jobs that are ready are pivoted. Never cut: a cancelled request is carried to its end.

    From the fork on nothing is asked of the client, and nothing waits for it: it is told how long libvirt has been silent. Where the child
    dies, the next one ends what it has begun.
    """
    # with its parser of XML only where it is needed: a worker starts at once. Before the fork, since a child of threads imports nothing
    from worker.libvirt_plan import read_libvirt_plan
    from worker.libvirt_switch import LibvirtSwitch

    with ExitStack() as stack:
        plan = read_libvirt_plan(request, stack)
        lives = life_of(plan)
        locks = locks_of(request, stack, [to_text(move.new.name) for disk in plan.disks for move in disk.manifests])
        witness = Witness()
        stack.callback(witness.close)

        def with_virsh(step: Callable[[LibvirtSwitch], Details], tell: Tell) -> Details:
            virsh = Virsh(plan.uri, sorted(locks | {witness.take()}))
            switch = LibvirtSwitch(plan, virsh, lives)
            virsh.silence.tell = lambda seconds: tell({"silentSeconds": round(seconds), "isSuspended": switch.pausing.is_suspended})
            try:
                return step(switch)
            finally:
                virsh.close()

        first = lambda tell: with_virsh(LibvirtSwitch.run, tell)  # noqa: E731
        again = lambda tell: with_virsh(LibvirtSwitch.recover, tell)  # noqa: E731
        done = carried(locks | {witness.file} | descriptors_of(plan), first, again, request.tell)
    return done


def descriptors_of(plan: "LibvirtPlan") -> Set[int]:
    sources = {disk.source for disk in plan.disks if disk.source is not None}
    return sources | descriptors_of_moves([move for disk in plan.disks for move in disk.marks + disk.manifests + disk.stale])


def life_of(plan: "LibvirtPlan") -> Callable[[], bool]:
    """Whether the QEMU that writes to the sources lives. One that cannot be seen counts as alive: then the domain's number alone tells."""
    seen: Set[Peer] = set()
    for source in [disk.source for disk in plan.disks if disk.source is not None]:
        for holder in holders_of_descriptor(source).open:
            if holder["access"] == "writes" and names_qemu(to_bytes(holder["program"])):
                seen.add(Peer(holder["pid"], holder["startTime"]))
    if len(seen) != 1:
        return lambda: True
    peer = seen.pop()
    return lambda: is_alive(peer.pid, peer.start_time)
