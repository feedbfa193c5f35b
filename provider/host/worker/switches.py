"""The operations of the switch: carrying it out, and putting right what one that died has left."""

import time
from contextlib import ExitStack
from typing import Callable, Optional

from worker.errors import Details, Failure
from worker.monitor import Monitor, Peer
from worker.processes import is_alive, is_qemu
from worker.requests import Request, operation
from worker.switch import begin, recover
from worker.switch_plan import Plan, read_plan

GREETING_SECONDS = 2.0

#: Between two tries, for a QEMU that lives and does not answer, or has another client. Its guest's I/O waits meanwhile, so nobody gives up.
PAUSE_SECONDS_AT_MOST = 1.0


@operation("switch-run", changes=True)
def run(request: Request) -> Details:
    """Jobs that are ready become a switch, or are cancelled. Never cut: a cancelled request is carried to its end."""
    monitor = request.state.monitors.get(request.arguments.whole("monitor"))
    with ExitStack() as stack:
        plan = read_plan(request, stack)
        done = carry_through(plan, qemu_behind(monitor), lambda: begin(plan, monitor))
    return done


@operation("switch-recover", changes=True)
def run_recover(request: Request) -> Details:
    """By the commit point: finished where it is done, else reverted. `pid` and `startTime` name the QEMU that had the disks then."""
    arguments = request.arguments
    peer = Peer(arguments.whole("pid"), arguments.whole("startTime"))
    with ExitStack() as stack:
        plan = read_plan(request, stack)
        done = carry_through(plan, peer, lambda: recover_by(plan, peer))
    return done


def qemu_behind(monitor: Monitor) -> Peer:
    """Who made the socket may be a program in between, as socat: then QEMU's own process is not known."""
    pid, started = monitor.peer
    return Peer(pid, started if is_qemu(pid) else None)


def carry_through(plan: Plan, peer: Peer, first: Callable[[], Details]) -> Details:
    """The end of the connection is not the end of QEMU: where its process lives, it is asked again by a new one."""
    step = first
    while True:
        try:
            return step()
        except Failure as failure:
            if failure.name != "monitor-closed":
                raise
        step = lambda: recover_by(plan, peer)  # noqa: E731


def recover_by(plan: Plan, peer: Peer) -> Details:
    monitor = reconnected(plan.socket, peer)
    if monitor is None:
        return recover(plan, None)
    try:
        return recover(plan, monitor)
    finally:
        monitor.close()


def has_nobody(reason: Exception) -> bool:
    """A QEMU that is stopped, or has another client, takes the connection and keeps it."""
    if isinstance(reason, Failure):
        return reason.name == "monitor-closed"
    return isinstance(reason, (ConnectionRefusedError, FileNotFoundError))


def reconnected(socket: bytes, peer: Peer) -> Optional[Monitor]:
    """None: the process is gone. Where it cannot be seen, a socket that nobody answers on says so."""
    pause = 0.05
    is_hidden = peer.start_time is None
    while is_hidden or is_alive(*peer):
        try:
            monitor = Monitor(socket, GREETING_SECONDS)
            monitor.start(lambda values: None)
            if is_hidden or monitor.peer == peer:
                return monitor
            monitor.close()  # another QEMU's, which has taken the place of the one that ended
        except (Failure, OSError, RuntimeError) as reason:
            if is_hidden and has_nobody(reason):
                return None
        time.sleep(pause)
        pause = min(2 * pause, PAUSE_SECONDS_AT_MOST)
    return None
