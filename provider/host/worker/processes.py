"""Processes of this host, as /proc shows them."""

import os
import time
from typing import List, Optional


def boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def machine() -> str:
    """What this installation is called for good; without a machine id (machine-id(5)) the host's name."""
    try:
        with open("/etc/machine-id") as file:
            found = file.read().strip()
    except OSError:
        found = ""
    return found or os.uname().nodename


def leaves_out_others(names: List[bytes]) -> bool:
    """Whether this list of /proc has only processes that this account may look into (hidepid=2, proc(5)): every host has a first one."""
    return b"1" not in names


#: An error may be one of a moment, as where descriptors or memory run out.
LOOKS = 3
BETWEEN_LOOKS_SECONDS = 0.01


def start_time(pid: int) -> Optional[int]:
    """In ticks since the boot (proc(5), stat field 22); with the pid it names a process for good.

    None: there is no such process, it has ended, or it cannot be looked at, several times.
    """
    for _ in range(LOOKS):
        try:
            return started_at(pid)
        except OSError:
            time.sleep(BETWEEN_LOOKS_SECONDS)
    return None


def started_at(pid: int) -> Optional[int]:
    """As `start_time`; where it cannot be looked at, an OSError."""
    fields = fields_of(pid)
    return None if fields is None or fields[0] in (b"Z", b"X") else int(fields[19])


def fields_of(pid: int) -> Optional[List[bytes]]:
    """Of its stat, from the third on: state, parent, …. None: there is no such process."""
    try:
        with open("/proc/%d/stat" % pid, "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


#: PF_EXITING of include/linux/sched.h, in field 9 of proc(5)'s stat.
EXITING = 0x4


def is_exiting(pid: int, started: Optional[int]) -> bool:
    """Whether it is seen to run no code of its own any more, while the close of its files may hang. One that is not seen may run."""
    try:
        fields = fields_of(pid)
    except OSError:
        return False
    return fields is not None and int(fields[19]) == started and bool(int(fields[6]) & EXITING)


def is_running(pid: int, started: Optional[int]) -> bool:
    """Whether it is seen to be there, and not to be about to end."""
    return has_ended(pid, started) is False and not is_exiting(pid, started)


def is_qemu(pid: int) -> bool:
    """By its name, which every account may read: qemu-system-x86, qemu-kvm, kvm."""
    try:
        with open("/proc/%d/comm" % pid, "rb") as file:
            name = file.read()
    except OSError:
        return False
    return b"qemu" in name or b"kvm" in name


def has_ended(pid: int, started: Optional[int]) -> Optional[bool]:
    """Whether the process that started then is seen to be there no more. None: it cannot be looked at."""
    try:
        return None if started is None else started_at(pid) != started
    except OSError:
        return None


def is_alive(pid: int, started: Optional[int]) -> bool:
    """Whether the process with this pid may still be the one that started then: unless it is seen to have ended, it counts as alive."""
    return has_ended(pid, started) is not True
