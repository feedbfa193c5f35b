"""The operation of a switch through libvirt."""

from contextlib import ExitStack
from typing import TYPE_CHECKING, Callable, List, Set

from worker.connection import Peer
from worker.errors import Details
from worker.holders import holders_of_descriptor, is_qemu
from worker.processes import is_alive
from worker.requests import Request, operation
from worker.text import to_bytes
from worker.virsh import Virsh

if TYPE_CHECKING:
    from worker.libvirt_plan import LibvirtPlan


@operation("libvirt-switch-run", changes=True)
def run(request: Request) -> Details:
    """Jobs that are ready are pivoted. Never cut: a cancelled request is carried to its end."""
    from worker.libvirt_plan import read_libvirt_plan  # with its parser of XML only where it is needed: a worker starts at once

    with ExitStack() as stack:
        plan = read_libvirt_plan(request, stack)
        done = carry_through(plan, [lock.descriptor for lock in request.state.locks.all()])
    return done


def carry_through(plan: "LibvirtPlan", locks: List[int]) -> Details:
    """From here on nothing is asked of the client, nor told to it."""
    from worker.libvirt_switch import LibvirtSwitch

    virsh = Virsh(plan.uri, locks)
    try:
        return LibvirtSwitch(plan, virsh, life_of(plan)).run()
    finally:
        virsh.close()


def life_of(plan: "LibvirtPlan") -> Callable[[], bool]:
    """Whether the QEMU that writes to the sources lives. One that cannot be seen counts as alive: then the domain's number alone tells."""
    seen: Set[Peer] = set()
    for source in [disk.source for disk in plan.disks if disk.source is not None]:
        for holder in holders_of_descriptor(source).open:
            if holder["access"] == "writes" and is_qemu(to_bytes(holder["program"])):
                seen.add(Peer(holder["pid"], holder["startTime"]))
    if len(seen) != 1:
        return lambda: True
    peer = seen.pop()
    return lambda: is_alive(peer.pid, peer.start_time)
