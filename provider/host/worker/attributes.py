"""What a file has besides its bytes: owner, mode, ACLs, security label. What cannot be carried is told, never dropped."""

import errno
import os
import stat
from typing import Callable, List

from worker.errors import Details, Failure
from worker.files import from_and_to
from worker.places import Place
from worker.requests import Request, operation
from worker.trust import opened, require_regular

#: ACLs are extended attributes (acl(5)), and so is SELinux's label. What else there is belongs to the file system, or to nobody.
CARRIED = ("system.posix_acl_access", "security.selinux", "user.")


@operation("file-attributes-copy", changes=True)
def copy_attributes(request: Request) -> Details:
    """Onto a file of ours. `left` names what the target's file system, or this account's rights, did not take, with the errno."""
    with from_and_to(request) as (source, target, _):
        left = carry(source, target)
        os.fsync(target)
    return {"left": left}


def carry_from(place: Place, target: int) -> List[Details]:
    """From what is under a name, which is not followed."""
    with opened(place, os.O_RDONLY) as source:
        require_regular(os.fstat(source), place.shown)
        return carry(source, target)


def carry(source: int, target: int) -> List[Details]:
    """What was not taken, with the errno."""
    left: List[Details] = []
    status = os.fstat(source)
    # The owner first: chown(2) takes set-user-ID bits away, and the mode last: an ACL's mask changes the group's bits.
    if not try_to(left, "owner", lambda: os.fchown(target, status.st_uid, status.st_gid)):
        # who may not give a file away may give it to a group of its own
        try_to([], "group", lambda: os.fchown(target, -1, status.st_gid))
    for name in carried(source):
        try_to(left, name, lambda: os.setxattr(target, name, os.getxattr(source, name)))
    try_to(left, "mode", lambda: os.fchmod(target, stat.S_IMODE(status.st_mode)))
    return left


def require_owner_and_mode(left: List[Details]) -> None:
    """Without them a guest may not open its image. But who is not root may not give files away (chown(2)): then they stay the account's."""
    for one in left:
        stays_ours = one["attribute"] == "owner" and one["errno"] == errno.EPERM and os.geteuid() != 0
        if one["attribute"] in ("mode", "owner") and not stays_ours:
            raise Failure("system", "its %s cannot be set: %s" % (one["attribute"], os.strerror(one["errno"])), code=one["errno"])


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
