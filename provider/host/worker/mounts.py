"""The mounts of this process, and what names their file systems beyond a reboot."""

import os
import re
from typing import NamedTuple, Optional

BY_UUID = b"/dev/disk/by-uuid"


class Mount(NamedTuple):
    kind: str
    #: As it was mounted: a device, an export, or a mere word.
    source: bytes


def unescaped(field: bytes) -> bytes:
    """Blanks and backslashes stand as octal numbers (proc(5), mountinfo)."""
    return re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found.group(1), 8)]), field)


def mount_in(text: bytes, number: int) -> Optional[Mount]:
    """There may be thousands, on a host with containers: one line is read."""
    wanted = b"%d " % number
    for line in text.split(b"\n"):  # a name may hold any other end of a line, which is not escaped
        if line.startswith(wanted):
            kind, source = line.partition(b" - ")[2].split(b" ")[:2]
            return Mount(kind.decode("ascii", "replace"), unescaped(source))
    return None


def mount_number(descriptor: int) -> Optional[int]:
    with open("/proc/self/fdinfo/%d" % descriptor, "rb") as file:
        for line in file:
            if line.startswith(b"mnt_id:"):
                return int(line.split()[1])
    return None


def mount_of(descriptor: int) -> Optional[Mount]:
    """By the mount's number in fdinfo (Linux 3.15), which asks no file system."""
    number = mount_number(descriptor)
    if number is None:
        return None
    with open("/proc/self/mountinfo", "rb") as file:
        return mount_in(file.read(), number)


def uuid_of(source: bytes) -> Optional[str]:
    """Of the device that is mounted, as udev has found it. None: no device, or no udev."""
    if not source.startswith(b"/dev/"):
        return None
    try:
        wanted = os.stat(source).st_rdev
        names = os.listdir(BY_UUID)
    except OSError:
        return None
    for name in names:
        try:
            if os.stat(os.path.join(BY_UUID, name)).st_rdev == wanted:
                return name.decode("ascii", "replace")
        except OSError:
            continue
    return None
