"""Who has a file open: the descriptors of all processes, and the kernel's table of locks.

No foreign file system is touched: a stat of another process's descriptor hangs on a dead mount. So first what the kernel answers by
itself is read, the links of /proc/PID/fd and `ino:` of fdinfo (Linux 5.14: seq_show, fs/proc/fd.c), and only what may be a wanted file is
looked at closely: a link with a wanted path, also with ` (deleted)` behind it; a wanted inode by `ino:`; any file of a program with QEMU's
name where there is no `ino:`.
"""

import os
from typing import Callable, Dict, List, NamedTuple, Optional, Set, Tuple

from worker.errors import Details
from worker.places import using
from worker.processes import leaves_out_others, start_time
from worker.requests import Request, operation
from worker.text import to_text

Key = Tuple[int, int]


class Wanted(NamedTuple):
    keys: Set[Key]
    paths: Set[bytes]
    #: By fdinfo, which may be another than stat tells (btrfs, overlayfs); empty where the kernel has no `ino:`.
    inodes: Set[bytes]


class Seen(NamedTuple):
    open: Dict[Key, List[Details]]
    #: Processes whose descriptors this account may not see, as far as they can be counted: no holder found says nothing about them.
    hidden: int


@operation("file-holders")
def holders(request: Request) -> Details:
    """For each place, links not followed: who has it open, and who holds which byte of it locked.

    `hidden` counts the processes that could not be looked into; one stands for all where /proc does not list them.
    """
    descriptors: List[int] = []
    try:
        for values in request.arguments.mappings("places"):
            with using(request, "places", values) as place:
                descriptors.append(place.open(os.O_PATH))
        return told(request, descriptors)
    finally:
        close_all(descriptors)


@operation("path-holders")
def holders_of_paths(request: Request) -> Details:
    """As `file-holders`, for what paths lead to."""
    descriptors: List[int] = []
    try:
        for path in request.arguments.paths("paths"):
            descriptors.append(os.open(path, os.O_PATH | os.O_CLOEXEC))
        return told(request, descriptors)
    finally:
        close_all(descriptors)


def close_all(descriptors: List[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def told(request: Request, descriptors: List[int]) -> Details:
    seen = look(wanted_by(descriptors), request.tick)
    files = []
    for descriptor in descriptors:
        status = os.fstat(descriptor)
        files.append({"open": seen.open.get((status.st_dev, status.st_ino), []), "locks": locks_of(status)})
    return {"files": files, "hidden": seen.hidden}


class Holders(NamedTuple):
    open: List[Details]
    hidden: int


def holders_of_descriptor(descriptor: int) -> Holders:
    """Other processes that have this file open."""
    status = os.fstat(descriptor)
    seen = look(wanted_by([descriptor]))
    return Holders(seen.open.get((status.st_dev, status.st_ino), []), seen.hidden)


def wanted_by(descriptors: List[int]) -> Wanted:
    keys: Set[Key] = set()
    paths: Set[bytes] = set()
    inodes: Set[bytes] = set()
    for descriptor in descriptors:
        status = os.fstat(descriptor)
        keys.add((status.st_dev, status.st_ino))
        inode = fdinfo(b"/proc/self/fdinfo/%d" % descriptor).get(b"ino")
        if inode is not None:
            inodes.add(inode)
        path = os.readlink(b"/proc/self/fd/%d" % descriptor)
        paths.update((path, path + b" (deleted)"))
    return Wanted(keys, paths, inodes)


def fdinfo(path: bytes) -> Dict[bytes, bytes]:
    with open(path, "rb") as file:
        pairs = (line.split(b":", 1) for line in file if b":" in line)
        return {name: value.strip() for name, value in pairs}


def nothing() -> None:
    """Nobody waits for a word."""


def look(wanted: Wanted, tick: Callable[[], None] = nothing) -> Seen:
    """`tick` after each process: a host may have a hundred thousand open files."""
    found: Dict[Key, List[Details]] = {}
    names = os.listdir(b"/proc")
    hidden = 1 if leaves_out_others(names) else 0
    for name in names:
        if not name.isdigit() or int(name) == os.getpid():
            continue
        folder = b"/proc/" + name
        try:
            numbers = os.listdir(folder + b"/fd")
        except (FileNotFoundError, ProcessLookupError):
            continue
        except PermissionError:
            hidden += 1
            continue
        for number in numbers:
            one = look_at(folder, number, wanted)
            if one is not None:
                found.setdefault(one[0], []).append(one[1])
        tick()
    return Seen(found, hidden)


def look_at(folder: bytes, number: bytes, wanted: Wanted) -> Optional[Tuple[Key, Details]]:
    """A descriptor that is closed, or a process that ends, while it is looked at holds nothing."""
    link = folder + b"/fd/" + number
    try:
        path = os.readlink(link)
        if not path.startswith(b"/"):
            return None  # sockets, eventfds and the like, which all share one inode
        about = fdinfo(folder + b"/fdinfo/" + number)
        if not may_be_wanted(folder, path, about.get(b"ino"), wanted):
            return None
        status = os.stat(link)
        if (status.st_dev, status.st_ino) not in wanted.keys:
            return None
        return (status.st_dev, status.st_ino), described(folder, about)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None


def may_be_wanted(folder: bytes, path: bytes, inode: Optional[bytes], wanted: Wanted) -> bool:
    if path in wanted.paths:
        return True
    if inode is not None and wanted.inodes:
        return inode in wanted.inodes
    return names_qemu(program_of(folder))


def program_of(folder: bytes) -> bytes:
    return os.path.basename(os.readlink(folder + b"/exe"))


def names_qemu(program: bytes) -> bool:
    return b"qemu" in program or b"kvm" in program


def described(folder: bytes, about: Dict[bytes, bytes]) -> Details:
    pid = int(folder[len(b"/proc/"):])
    access = int(about[b"flags"], 8) & os.O_ACCMODE
    return {
        "pid": pid,
        "startTime": start_time(pid),
        "program": to_text(program_of(folder)),
        "access": "reads" if access == os.O_RDONLY else "writes",
    }


def locks_of(status: os.stat_result) -> List[Details]:
    """The table names a file by its superblock's device and its inode.

    On btrfs and overlayfs stat tells another device: then none is found.
    """
    locks = []
    with open("/proc/locks", "rb") as file:
        for line in file:
            words = line.split()
            if words[1] == b"->":
                continue  # somebody who waits for one
            major, _, numbers = words[5].partition(b":")
            minor, _, inode = numbers.partition(b":")
            if not inode:
                continue  # `<none>:0`: a lock without an inode (lock_get_status(), fs/locks.c)
            if (os.makedev(int(major, 16), int(minor, 16)), int(inode)) != (status.st_dev, status.st_ino):
                continue
            last = None if words[7] == b"EOF" else int(words[7])
            access = "reads" if words[3] == b"READ" else "writes"
            locks.append({"kind": to_text(words[1]), "access": access, "first": int(words[6]), "last": last})
    return locks
