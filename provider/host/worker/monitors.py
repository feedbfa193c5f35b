"""The monitors of all guests of this host, by number."""

from time import monotonic

from worker.errors import Details
from worker.monitor import Monitor
from worker.requests import Request, operation

TELL_SECONDS = 5.0


@operation("monitor-open")
def open_monitor(request: Request) -> Details:
    """Tells who is behind it, and from then on its events. `busy` where nobody greets within `greetingSeconds`."""
    state = request.state
    monitor = Monitor(request.arguments.path("path"), request.arguments.seconds("greetingSeconds"), request.check)
    number = state.monitors.add(monitor)
    request.unless_answered(lambda: state.monitors.take(number).close())
    monitor.start(lambda values: state.outlet.send(dict(values, monitor=number)))
    return dict(monitor.standing(), monitor=number)


@operation("monitor-execute")
def execute(request: Request) -> Details:
    """One command. A cancelled one may still be carried out: only the waiting ends."""
    arguments = request.arguments
    monitor = request.state.monitors.get(arguments.whole("monitor"))
    monitor.wait_while_lent(lambda: tell_of_waiting(request))
    return {"returned": monitor.execute(arguments.text("command"), arguments.mapping("arguments"), request.check)}


def tell_of_waiting(request: Request) -> None:
    """For a switch, however long that takes: it must not look like a QEMU that does not answer."""
    request.check()
    if monotonic() - request.heard > TELL_SECONDS:
        request.progress({"waitsFor": "switch"})


@operation("monitor-close")
def close_monitor(request: Request) -> Details:
    request.state.monitors.take(request.arguments.whole("monitor")).close()
    return {}
