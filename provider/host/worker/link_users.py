"""Who else finds files through a symbolic link: by what other QEMUs were started with, and by what libvirt defines.

The command line counts, not what QEMU has open: after a move the two differ, and the next start goes by the command line.
A name is looked at on its own file system only if the directory behind the link has such a file: a dead mount would hang.
"""

import glob
import os
import stat
from contextlib import suppress
from typing import Iterator, List, NamedTuple, Set, Tuple
from xml.etree import ElementTree

from worker.errors import Details
from worker.processes import is_qemu, leaves_out_others
from worker.qemu_names import names_in
from worker.requests import Request, operation
from worker.text import to_text

#: As many links as the kernel follows (path_resolution(7)).
LINKS_AT_MOST = 40

#: Persistent definitions of libvirt's system instance. Where they lie elsewhere, or this account may not read them, they tell nothing.
DEFINITIONS = b"/etc/libvirt/qemu/*.xml"

#: Their names are QEMU's, but they only read an image for a moment.
READERS = (b"qemu-img", b"qemu-io")

Key = Tuple[int, int]


class Link(NamedTuple):
    itself: Key
    directory: bytes
    #: Files that are found through it afterwards, too.
    moving: Set[Key]


@operation("link-users")
def link_users(request: Request) -> Details:
    """All but the process `except`; a file of `moving` does not count, whoever names it.

    `areHidden`: there are processes whose command line this account may not read (hidepid, proc(5)).
    """
    path = request.arguments.path("link")
    moving = set(keys_of(request.arguments.words("moving", at_least=0)))
    link = Link(key_of(os.lstat(path)), os.path.realpath(path), moving)
    others, are_hidden = started(link, request.arguments.whole("except"))
    return {"users": others + defined(link, DEFINITIONS), "areHidden": are_hidden}


def started(link: Link, but: int) -> Tuple[List[Details], bool]:
    users: List[Details] = []
    names = os.listdir(b"/proc")
    are_hidden = leaves_out_others(names)
    for name in names:
        if not name.isdigit() or int(name) == but:
            continue
        try:
            words = command_line(int(name))
        except PermissionError:
            are_hidden = True
            continue
        if words and may_start_a_guest(int(name), os.path.basename(words[0])):
            found = [path for word in words[1:] for path in names_in(word) if finds(link, path)]
            users.extend({"who": "process %d" % int(name), "path": to_text(path)} for path in found)
    return users, are_hidden


def may_start_a_guest(pid: int, program: bytes) -> bool:
    """By either of its names: `-name process=` gives it another one in /proc."""
    return program not in READERS and (b"qemu" in program or b"kvm" in program or is_qemu(pid))


def command_line(pid: int) -> List[bytes]:
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as file:
            return file.read().split(b"\0")[:-1]
    except PermissionError:
        raise
    except OSError:
        return []  # it has just ended


def defined(link: Link, pattern: bytes) -> List[Details]:
    users: List[Details] = []
    for file in glob.glob(pattern):
        try:
            root = ElementTree.parse(os.fsdecode(file)).getroot()
        except (OSError, ElementTree.ParseError):
            continue
        who = "the domain " + (root.findtext("name") or to_text(file))
        names = [one.get("file") or "" for one in root.iter("source")] + [one.text or "" for one in root.iter("nvram")]
        paths = [os.fsencode(name.strip()) for name in names]
        users.extend({"who": who, "path": to_text(found)} for found in paths if finds(link, found))
    return users


def finds(link: Link, path: bytes) -> bool:
    """Whether this name leads through the link to a file that does not move."""
    if not path.startswith(b"/") or not is_below(link.directory, path):
        return False
    try:
        status = os.stat(path)
        return stat.S_ISREG(status.st_mode) and key_of(status) not in link.moving and leads_through(path, link.itself)
    except OSError:
        return False


def is_below(directory: bytes, path: bytes) -> bool:
    """Whether the directory has a file by the end of this name, however long that is."""
    parts = path.split(b"/")
    return any(os.path.isfile(os.path.join(directory, *parts[first:])) for first in range(1, len(parts)))


def leads_through(path: bytes, link: Key) -> bool:
    """Whether the kernel comes by the link on its way to the file."""
    rest = path.split(b"/")[::-1]
    here = b"/"
    followed = 0
    while rest and followed <= LINKS_AT_MOST:
        name = rest.pop()
        if name in (b"", b"."):
            continue
        there = os.path.dirname(here) if name == b".." else os.path.join(here, name)
        status = os.lstat(there)
        if not stat.S_ISLNK(status.st_mode):
            here = there
            continue
        if key_of(status) == link:
            return True
        followed += 1
        target = os.readlink(there)
        here = b"/" if target.startswith(b"/") else here
        rest.extend(target.split(b"/")[::-1])
    return False


def keys_of(paths: List[bytes]) -> Iterator[Key]:
    for path in paths:
        with suppress(FileNotFoundError):
            yield key_of(os.stat(path))


def key_of(status: os.stat_result) -> Key:
    return status.st_dev, status.st_ino
