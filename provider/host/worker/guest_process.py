"""The process behind a QEMU's monitor, and what it has open: from /proc, of which an account may see a part."""

import os
from typing import Dict, Iterator, List, Optional, Tuple

from worker.errors import Details
from worker.holders import names_qemu, program_of
from worker.requests import Request, operation
from worker.text import to_text
from worker.trust import kind_of

#: Of a socket that listens, in /proc/net/unix: __SO_ACCEPTCON (net/unix/af_unix.c, unix_seq_show()).
LISTENS = b"00010000"


@operation("monitor-process")
def behind(request: Request) -> Details:
    """The number of the QEMU that listens at a socket, or null where the account may not see it.

    The table has a name as its owner bound it, perhaps relative to its directory or as its own root shows it: so the name only narrows the
    search, and the socket's device and inode, looked up as that process sees it, decide.
    """
    real = os.path.realpath(request.arguments.path("socket"))
    try:
        wanted = os.stat(real)
        bound = listening(os.path.basename(real))
    except OSError:
        return {"pid": None}
    found = (pid for pid, name in owners(bound) if is_a_qemu(pid) and leads_to(pid, name, wanted))
    return {"pid": next(found, None)}


def listening(name: bytes) -> Dict[bytes, bytes]:
    """Sockets whose last name is this one: the name that each was bound to, by its number."""
    bound = {}
    with open("/proc/net/unix", "rb") as file:
        for line in file:
            fields = line.rstrip(b"\n").split(None, 7)
            if len(fields) == 8 and fields[3] == LISTENS and os.path.basename(fields[7]) == name:
                bound[fields[6]] = fields[7]
    return bound


def owners(bound: Dict[bytes, bytes]) -> Iterator[Tuple[int, bytes]]:
    links = {b"socket:[%s]" % number: name for number, name in bound.items()}
    for pid in numbers_in(b"/proc"):
        for _, link in open_links(pid):
            if link in links:
                yield pid, links[link]


def numbers_in(folder: bytes) -> List[int]:
    """Nothing where the process has ended, or may not be looked into."""
    try:
        return [int(name) for name in os.listdir(folder) if name.isdigit()]
    except OSError:
        return []


def open_links(pid: int) -> Iterator[Tuple[bytes, bytes]]:
    for number in numbers_in(b"/proc/%d/fd" % pid):
        path = b"/proc/%d/fd/%d" % (pid, number)
        try:
            yield path, os.readlink(path)
        except OSError:
            continue  # closed meanwhile


def is_a_qemu(pid: int) -> bool:
    """By its executable: its own name may be any (-name process=)."""
    try:
        return names_qemu(program_of(b"/proc/%d" % pid))
    except OSError:
        return False


def leads_to(pid: int, name: bytes, wanted: os.stat_result) -> bool:
    seen = b"/proc/%d/root%s" % (pid, name) if name.startswith(b"/") else b"/proc/%d/cwd/%s" % (pid, name)
    try:
        return os.path.samestat(os.stat(seen), wanted)
    except OSError:
        return False


@operation("process-files")
def files(request: Request) -> Details:
    """Its directory, null where it has ended or is hidden; each regular file that it has open, and by which path the kernel knows that."""
    pid = request.arguments.whole("pid")
    directory = directory_of(pid)
    if directory is None:
        return {"workingDirectory": None, "files": []}
    found = []
    for path, link in open_links(pid):
        try:
            status = os.stat(path)
        except OSError:
            continue
        if kind_of(status) == "file":
            found.append({"device": str(status.st_dev), "inode": str(status.st_ino), "path": to_text(link)})
    return {"workingDirectory": to_text(directory), "files": found}


def directory_of(pid: int) -> Optional[bytes]:
    try:
        return os.readlink(b"/proc/%d/cwd" % pid)
    except OSError:
        return None
