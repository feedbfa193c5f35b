"""The operations of the switch: carrying it out, and putting right what one that died has left.

A child does it (fork_client.py). It has the locks, the monitor's connection and the files of the plan, and goes on where the worker dies.
Where the child dies, the worker still has all of that: another child finishes or reverts by the commit point.
"""

import time
from contextlib import ExitStack
from functools import partial
from typing import Callable, List, Optional, Set

from worker.connection import Connection, Peer
from worker.errors import Details, Failure
from worker.fork_client import ForkServer, NoProcess
from worker.handing import Tell, Work, packed
from worker.line import Line
from worker.locks import Lock
from worker.monitor import Monitor
from worker.processes import has_ended, is_qemu
from worker.requests import Request, operation
from worker.switch import begin, recover
from worker.switch_plan import Plan, descriptors_of_moves, read_plan
from worker.text import to_bytes

GREETING_SECONDS = 2.0

#: Between two tries, for a QEMU that lives and does not answer, or has another client. Its guest's I/O waits meanwhile, so nobody gives up.
PAUSE_SECONDS_AT_MOST = 1.0

#: Where one after the other dies, or none is to be had, the worker does it itself.
CHILDREN_AT_MOST = 3


#: Of a lock's file; before it stands what the disk's other files and its jobs begin with.
LOCK_ENDING = b".lock"

Step = Callable[[], Details]


@operation("switch-run", changes=True)
def run(request: Request) -> Details:
    """Jobs that are ready become a switch, or are cancelled. Never cut: a cancelled request is carried to its end."""
    monitor = request.state.monitors.get(request.arguments.whole("monitor"))
    with ExitStack() as stack:
        plan = read_plan(request, stack)
        keep = descriptors_of(plan) | locks_of(request, stack, [disk.job for disk in plan.disks])
        line = stack.enter_context(monitor.lent(request.check))
        keep.add(line.connection.stream.fileno())
        done = carried_on(request.state.fork_server, line, keep, plan, qemu_behind(monitor))
    return done


@operation("switch-recover", changes=True)
def run_recover(request: Request) -> Details:
    """By the commit point: finished where it is done, else reverted.

    `pid` and `startTime` name the QEMU that had the disks then; where that cannot be seen, there is no time.
    """
    arguments = request.arguments
    peer = Peer(arguments.whole("pid"), arguments.whole("startTime") if arguments.has("startTime") else None)
    with ExitStack() as stack:
        plan = read_plan(request, stack)
        keep = descriptors_of(plan) | locks_of(request, stack, [disk.job for disk in plan.disks])
        work = partial(end_of_another, plan, peer)
        done = carried(request.state.fork_server, keep, work, work)
    return done


def qemu_behind(monitor: Monitor) -> Peer:
    """Who made the socket may be a program in between, as socat: then QEMU's own process is not known."""
    pid, started = monitor.peer
    return Peer(pid, started if is_qemu(pid) else None)


def locks_of(request: Request, stack: ExitStack, names: List[str]) -> Set[int]:
    """Those that the request names, and those of the disks whose jobs or manifests these are: all have the disk's key in their names.

    Each is held until the stack ends, also where the client gives it back before. Those of other disks, which this client moves at the
    same time, are their own moves'.
    """
    named = request.arguments.numbers("locks")
    keys = [to_bytes(name) for name in names]

    def is_meant(number: int, lock: Lock) -> bool:
        stem = lock.place.name[:-len(LOCK_ENDING)] if lock.place.name.endswith(LOCK_ENDING) else lock.place.name
        return number in named or any(key == stem or key.startswith((stem + b"-", stem + b".")) for key in keys)

    return {lock.descriptor for lock in stack.enter_context(request.state.locks.using_those(is_meant))}


def descriptors_of(plan: Plan) -> Set[int]:
    """What the child needs of what is open here."""
    images = {disk.source for disk in plan.disks} | {one.image for record in plan.records for one in record.measures}
    return images | {record.file for record in plan.records} | descriptors_of_moves([move for stage in plan.stages for move in stage])


def carried_on(server: ForkServer, line: Line, keep: Set[int], plan: Plan, peer: Peer) -> Details:
    """From jobs that are ready, by the connection that is there."""
    left: Optional[str] = None
    try:
        outcome = carried(server, keep, partial(beginner, plan, peer, line), partial(successor, plan, peer, line))
        left = outcome["left"]
        done: Details = outcome["done"]
        return done
    finally:
        line.give_back(left)


def beginner(plan: Plan, peer: Peer, line: Line, _tell: Tell) -> Details:
    return told(line, carry_through(plan, peer, lambda: begin(plan, line), line))


def successor(plan: Plan, peer: Peer, line: Line, _tell: Tell) -> Details:
    line.take_over()
    return told(line, carry_through(plan, peer, lambda: recover(plan, line), line))


def told(line: Line, done: Details) -> Details:
    return {"done": done, "left": line.left()}


def end_of_another(plan: Plan, peer: Peer, _tell: Tell) -> Details:
    return carry_through(plan, peer, lambda: recover_by(plan, peer))


def nobody(values: Details) -> None:
    """Waits for word of how it goes on."""


def carried(server: ForkServer, keep: Set[int], first: Work, again: Work, tell: Tell = nobody) -> Details:
    """By a child, and where that dies, by the next one."""
    by_child = [packed(first)] + [packed(again)] * (CHILDREN_AT_MOST - 1)
    work = first
    for data in by_child:
        try:
            outcome = server.carry(data, keep, tell)
        except NoProcess:
            break
        if outcome is not None:
            return outcome
        work = again
    return work(tell)


def carry_through(plan: Plan, peer: Peer, first: Step, line: Optional[Line] = None) -> Details:
    """The end of the connection is not the end of QEMU: where its process lives, it is asked again by a new one."""
    step = first
    while True:
        try:
            return step()
        except Failure as failure:
            if failure.name != "monitor-closed":
                raise
        if line is not None:
            line.connection.shut()  # a QEMU that still has it would greet nobody else
        step = lambda: recover_by(plan, peer)  # noqa: E731


def recover_by(plan: Plan, peer: Peer) -> Details:
    line = reconnected(plan.socket, peer)
    if line is None:
        return recover(plan, None)
    try:
        return recover(plan, line)
    finally:
        line.close()


def has_nobody(reason: Exception) -> bool:
    """A QEMU that is stopped, or has another client, takes the connection and keeps it."""
    if isinstance(reason, Failure):
        return reason.name == "monitor-closed"
    return isinstance(reason, (ConnectionRefusedError, FileNotFoundError))


def reconnected(socket: bytes, peer: Peer) -> Optional[Line]:
    """None: the process is gone. Where it cannot be seen, a socket says so on which nobody answers, or another one than it was."""
    pause = 0.05
    while True:
        ended = has_ended(*peer)
        if ended:
            return None
        try:
            line = Line(Connection(socket, GREETING_SECONDS))
            if peer.start_time is None or line.connection.peer == peer:
                return line
            line.close()  # another QEMU's, which has taken the place of the one that ended
            if ended is None:
                return None
        except (Failure, OSError) as reason:
            if ended is None and has_nobody(reason):
                return None
        time.sleep(pause)
        pause = min(2 * pause, PAUSE_SECONDS_AT_MOST)
