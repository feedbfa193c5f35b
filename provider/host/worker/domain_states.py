"""The answers of `virsh domstate --reason` by what they mean for a switch (tools/virsh-domain-monitor.c, libvirt 9.0).

The client's states.ts has the same.
"""

#: Paused by somebody, and its disks can be switched.
RESTFUL = ("paused", "paused (user)", "paused (unknown)", "paused (from snapshot)", "paused (I/O error)", "paused (watchdog)")

#: libvirt gives these only to a guest that ran (qemuProcessHandleIOError() and its like): who has suspended it before has resumed it.
STOPPED_BY_ITSELF = ("paused (I/O error)", "paused (watchdog)", "paused (crashed)")

#: A migration if libvirt has a job; else the guest was restored paused (`virsh restore --paused`; qemuSaveImageStartVM()).
MIGRATING_OR_RESTORED = "paused (migrating)"


def is_running(state: str) -> bool:
    return state.startswith("running")


def is_shut_off(state: str) -> bool:
    return state.startswith("shut off")


def is_over(state: str) -> bool:
    """Whether a guest that was resumed runs, or has stopped by itself since."""
    return is_running(state) or state in STOPPED_BY_ITSELF or state.startswith("crashed")


def says_no_job(text: str) -> bool:
    """Of `virsh domjobinfo`, which is refused on the side that a guest comes to (cmdDomjobinfo())."""
    return any(line.split() == ["Job", "type:", "None"] for line in text.splitlines())
