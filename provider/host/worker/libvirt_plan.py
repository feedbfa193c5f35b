"""The switch of a guest that libvirt manages, as data: which jobs are pivoted, on which chains, and what is written down afterwards."""

import os
from contextlib import ExitStack
from typing import Any, Dict, List, NamedTuple, Optional

from worker.arguments import Arguments
from worker.connection import Peer
from worker.domain_xml import Image
from worker.errors import Failure
from worker.processes import start_time
from worker.requests import Request
from worker.switch_plan import Move, Reader
from worker.text import to_bytes


class File(NamedTuple):
    """An image by its path and by what lay there when the plan was made: libvirt may spell the path otherwise."""

    image: Image
    device: str
    inode: str

    def is_at(self, path: str) -> bool:
        """Whether that is a name of the file. It is asked now, so device and inode tell."""
        try:
            status = os.stat(to_bytes(path))
        except OSError:
            return False
        return (str(status.st_dev), str(status.st_ino)) == (self.device, self.inode)


class LibvirtDisk(NamedTuple):
    #: `vda`.
    target: str
    #: The whole live chain, top first.
    chain: List[File]
    #: Where its job ends.
    destination: File
    #: `copy` or `active-commit`.
    job: str
    #: Its manifests say that the pivot is under way, where nothing else would tell afterwards that it was made.
    marks: List[Move]
    #: Its manifests get their next content.
    manifests: List[Move]
    #: The former image gets its quarantine name.
    stale: List[Move]
    #: The active image that it leaves, held open for QEMU's image lock; None where this account may not read it.
    source: Optional[int]

    def image_at(self, path: str) -> Optional[File]:
        """Which of the two images of the switch this is."""
        return next((one for one in (self.destination, self.chain[0]) if path == one.image.path or one.is_at(path)), None)


class LibvirtPlan(NamedTuple):
    uri: str
    #: Its UUID.
    domain: str
    #: The file that is locked as long as the switch goes on, for the record of the suspended guest.
    switch_lock: str
    disks: List[LibvirtDisk]
    #: The worker, which has its files open, too.
    worker: Peer


def read_libvirt_plan(request: Request, stack: ExitStack) -> LibvirtPlan:
    """Opens all that the plan names, and checks that each file is the expected one."""
    arguments = Arguments(request.arguments.mapping("plan"))
    reader = Reader(request, stack)
    disks = [read_disk(Arguments(values), reader, stack) for values in arguments.mappings("disks")]
    if not disks:
        raise Failure("bad-request", "a switch has a disk")
    worker = Peer(os.getpid(), start_time(os.getpid()))
    return LibvirtPlan(arguments.text("uri"), arguments.text("domain"), arguments.text("switchLock"), disks, worker)


def read_disk(arguments: Arguments, reader: Reader, stack: ExitStack) -> LibvirtDisk:
    chain = [read_file(values) for values in arguments.mappings("chain")]
    if not chain:
        raise Failure("bad-request", "a disk has an image")
    return LibvirtDisk(
        arguments.text("target"),
        chain,
        read_file(arguments.mapping("destination")),
        arguments.choice("job", ["copy", "active-commit"]),
        [reader.move(values) for values in arguments.mappings("marks")],
        [reader.move(values) for values in arguments.mappings("manifests")],
        [reader.move(values) for values in arguments.mappings("stale")],
        open_source(chain[0], stack),
    )


def read_file(values: Dict[str, Any]) -> File:
    arguments = Arguments(values)
    return File(Image(arguments.text("path"), arguments.text("format")), arguments.text("device"), arguments.text("inode"))


def open_source(source: File, stack: ExitStack) -> Optional[int]:
    path = to_bytes(source.image.path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except PermissionError:
        return None
    stack.callback(os.close, descriptor)
    status = os.fstat(descriptor)
    if (str(status.st_dev), str(status.st_ino)) != (source.device, source.inode):
        raise Failure("other-file", "it is another file than when the switch was planned", path)
    return descriptor
