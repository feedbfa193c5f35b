"""Where a disk is, and the persistent definition that must say so: what a boot goes by."""

import os
from contextlib import contextmanager
from typing import Iterator, List, NamedTuple, Optional

from worker.domain_xml import DiskXml, DomainXml, disk_at
from worker.errors import Failure
from worker.libvirt_plan import File, LibvirtDisk
from worker.libvirt_talk import Talk
from worker.paths import DIRECTORY_FLAGS
from worker.places import sync_descriptor
from worker.syscalls import sync_file_system
from worker.text import to_bytes
from worker.virsh import command
from worker.wire import write_all

#: libvirt writes definitions whole and synced (virFileRewrite()); that their new name lasts is for us to see to.
DEFINITIONS = ("/etc/libvirt/qemu", "~/.config/libvirt/qemu")


class Place(NamedTuple):
    """Where a disk is, or would start from."""

    disk: LibvirtDisk
    #: None: on an image that is none of the switch's, or it cannot be told.
    file: Optional[File]

    @property
    def is_moved(self) -> bool:
        return self.file == self.disk.destination


def where_is(disk: LibvirtDisk, domain: Optional[DomainXml]) -> Optional[File]:
    found = None if domain is None else domain.disks.get(disk.target)
    return None if found is None or found.image is None else disk.image_at(found.image.path)


def define(talk: Talk, places: List[Place], live: Optional[DomainXml]) -> None:
    """It is read now, so what somebody else has written there meanwhile stays, but for where the disk is."""
    definition = None if live is None else talk.definition()
    if definition is not None and live is not None:
        for place in places:
            for slot in slots_to_change(place, definition, live):
                define_slot(talk, slot, place.file)
    sync_definitions()


def define_slot(talk: Talk, slot: DiskXml, file: Optional[File]) -> None:
    if file is None:
        return
    with xml_file(disk_at(slot, file.image)) as path:
        reply = talk.tell(command("update-device --config", talk.domain, path))
    if reply.refused is not None:
        raise Failure("refused", "the persistent definition of %s: %s" % (slot.target, reply.refused))


def slots_to_change(place: Place, definition: DomainXml, live: DomainXml) -> List[DiskXml]:
    """Those that name the image which the disk has left, whatever they are called; else its own, if that names another one."""
    disk, file = place
    own = definition.disks.get(disk.target)
    if file is None:
        return []
    other = disk.chain[0] if file == disk.destination else disk.destination
    left = [slot for slot in definition.disks.values() if slot.image is not None and disk.image_at(slot.image.path) == other]
    if left or own is None or own.image is None or disk.image_at(own.image.path) == file:
        return left
    owners = [one.target for one in live.disks.values() if one.image is not None and one.image.path == own.image.path]
    if owners:
        raise Failure("refused", "the persistent definition gives %s the image of %s, %s" % (disk.target, owners[0], own.image.path))
    return [own]


@contextmanager
def xml_file(text: str) -> Iterator[str]:
    """virsh takes XML from files only."""
    path = os.path.join(os.environ.get("TMPDIR", "/tmp"), "livedisk-%s.xml" % os.urandom(8).hex())
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        write_all(descriptor, to_bytes(text))
        os.close(descriptor)
        yield path
    finally:
        os.unlink(path)


def sync_definitions() -> None:
    """A directory that is not there: this libvirt has its definitions elsewhere."""
    for folder in DEFINITIONS:
        path = os.path.expanduser(folder)
        try:
            descriptor = os.open(path, DIRECTORY_FLAGS)
        except FileNotFoundError:
            continue
        except PermissionError:  # an account of libvirt's group may not read it
            sync_around(path)
            continue
        try:
            sync_descriptor(descriptor, to_bytes(folder))
        finally:
            os.close(descriptor)


def sync_around(path: str) -> None:
    """The whole file system, by the first directory above that may be read."""
    above = os.path.dirname(path)
    try:
        descriptor = os.open(above, DIRECTORY_FLAGS)
    except PermissionError:
        return sync_around(above)
    try:
        if os.fstat(descriptor).st_dev == os.stat(path).st_dev:
            sync_file_system(descriptor)
        else:
            os.sync()
    finally:
        os.close(descriptor)
