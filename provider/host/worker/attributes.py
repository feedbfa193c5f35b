"""What a file has besides its bytes: owner, mode, ACLs, security label. What cannot be carried is told, never dropped."""

import errno
import os
import stat
from typing import Callable, List

from worker.errors import Details
from worker.files import from_and_to
from worker.requests import Request, operation

#: ACLs are extended attributes (acl(5)), and so is SELinux's label. What else there is belongs to the file system, or to nobody.
CARRIED = ("system.posix_acl_access", "security.selinux", "user.")


@operation("file-attributes-copy", changes=True)
def copy_attributes(request: Request) -> Details:
    """Onto a file of ours. `left` names what the target's file system, or this account's rights, did not take, with the errno."""
    left: List[Details] = []
    with from_and_to(request) as (source, target, _):
        status = os.fstat(source)
        # The owner first: chown(2) takes set-user-ID bits away, and the mode last: an ACL's mask changes the group's bits.
        if not try_to(left, "owner", lambda: os.fchown(target, status.st_uid, status.st_gid)):
            # who may not give a file away may give it to a group of its own
            try_to([], "group", lambda: os.fchown(target, -1, status.st_gid))
        for name in carried(source):
            try_to(left, name, lambda: os.setxattr(target, name, os.getxattr(source, name)))
        try_to(left, "mode", lambda: os.fchmod(target, stat.S_IMODE(status.st_mode)))
        os.fsync(target)
    return {"left": left}


def carried(source: int) -> List[str]:
    try:
        names = os.listxattr(source)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return []
        raise
    return [name for name in names if name.startswith(CARRIED)]


def try_to(left: List[Details], attribute: str, act: Callable[[], None]) -> bool:
    try:
        act()
        return True
    except OSError as error:
        left.append({"attribute": attribute, "errno": error.errno})
        return False
