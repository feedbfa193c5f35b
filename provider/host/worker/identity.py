"""What a file is, beyond its name: so that it is known again after a rename, a reboot, or when another one has got its inode."""

import os
from typing import Any, Optional

from worker.errors import Details
from worker.mounts import mount_of, uuid_of
from worker.processes import boot_id
from worker.syscalls import birth_time_ns, file_handle, file_system_id
from worker.text import to_text

SAME, DIFFERENT, UNKNOWN = "same", "different", "unknown"

#: Their f_fsid comes from the UUID that is on the disk. XFS's and F2FS's is the device's number, which changes with a reboot.
LASTING_FSID = ("ext2", "ext3", "ext4", "btrfs")

#: The kernel's own number of a file there lasts as long as it remembers the file: another one gets it, and the same file another number.
WITHOUT_LASTING_HANDLES = ("fuse", "fuseblk", "virtiofs")


def identity_of(descriptor: int) -> Details:
    """Parts that cannot be had are null, and never count as equal."""
    status = os.fstat(descriptor)
    mount = mount_of(descriptor)
    handle = file_handle(descriptor) if mount is None or has_lasting_handles(mount.kind) else None
    birth = birth_time_ns(descriptor)
    return {
        "handle": None if handle is None else "%d:%s" % (handle.kind, handle.data.hex()),
        "inode": str(status.st_ino),
        "birthNs": None if birth is None else str(birth),
        "device": str(status.st_dev),
        "bootId": boot_id(),
        "fileSystem": {
            "kind": None if mount is None else mount.kind,
            "source": None if mount is None else to_text(mount.source),
            "uuid": None if mount is None else uuid_of(mount.source),
            "fsid": file_system_id(descriptor),
        },
    }


def has_lasting_handles(kind: str) -> bool:
    """A kind as /proc/self/mountinfo has it: `ext4`, `fuse.sshfs`."""
    return kind.split(".")[0] not in WITHOUT_LASTING_HANDLES


def compare(one: Details, two: Details) -> str:
    """`same`, `different` or `unknown`. A missing part never counts as equal.

    The client has the same function (core/disk/identity.ts): test/host/worker/identities.json holds both to it.
    """
    systems = compare_file_systems(one, two)
    return compare_files(one, two) if systems == SAME else systems


def compare_files(one: Details, two: Details) -> str:
    """In one file system."""
    if one["inode"] != two["inode"]:
        return DIFFERENT
    handles = equal(one["handle"], two["handle"])
    return equal(one["birthNs"], two["birthNs"]) if handles == UNKNOWN else handles


def compare_file_systems(one: Details, two: Details) -> str:
    a, b = one["fileSystem"], two["fileSystem"]
    uuids = equal(a["uuid"], b["uuid"])
    # Subvolumes of btrfs share a UUID; their f_fsid differs, and their inodes are counted apart.
    fsids = equal(a["fsid"], b["fsid"]) if a["kind"] == b["kind"] and a["kind"] in LASTING_FSID else UNKNOWN
    # Before the device's number, which another file system gets when this one is not mounted any more.
    if DIFFERENT in (uuids, fsids):
        return DIFFERENT
    if one["bootId"] == two["bootId"] and one["device"] == two["device"]:
        return SAME
    if uuids == SAME:
        return fsids if a["kind"] == "btrfs" else SAME
    if a["kind"] != b["kind"]:
        return UNKNOWN
    if is_network(a["source"]) and a["source"] == b["source"]:
        return SAME
    return fsids


def is_network(source: Optional[str]) -> bool:
    """`host:/export` or `//host/share`: a name that means the same after a reboot, as `tmpfs` or `/dev/sda` may not."""
    return source is not None and (source.startswith("//") or (":" in source and not source.startswith("/")))


def equal(one: Any, two: Any) -> str:
    if one is None or two is None:
        return UNKNOWN
    return SAME if one == two else DIFFERENT
