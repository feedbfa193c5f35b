"""A switch as data: which jobs, which names change in which order, and which change is the commit point."""

import os
from contextlib import ExitStack
from typing import Any, Dict, List, NamedTuple, Optional, Set

from worker.arguments import Arguments
from worker.errors import Details, Failure
from worker.files import held
from worker.identity import SAME, UNKNOWN, compare, identity_of
from worker.places import Place, sync_descriptor, using
from worker.requests import Request
from worker.wire import write_all


class Disk(NamedTuple):
    job: str
    #: Its qdev.
    device: str
    #: The node that is active once its job has pivoted: the first one below the guest's own filters.
    target: str
    #: The image that it leaves, held open for QEMU's image lock.
    source: int


class Back(NamedTuple):
    """What is put under the new name again when a replacing move is reverted."""

    place: Place
    file: int


class Move(NamedTuple):
    """One file gets another name. It is known by its open descriptor, so its inode cannot become another file's meanwhile."""

    file: int
    old: Place
    new: Place
    #: None: the new name must be free.
    back: Optional[Back]


def descriptors_of_moves(moves: List[Move]) -> Set[int]:
    """What a child needs of what is open here."""
    names = {number for move in moves for number in (move.file, move.old.directory, move.new.directory)}
    backs = {number for move in moves if move.back for number in (move.back.file, move.back.place.directory)}
    return names | backs


class Measure(NamedTuple):
    """An image whose size and time are written down, and what stands behind them."""

    image: int
    shown: bytes
    text_behind: str
    #: Not the image that is left: its data may be in the page cache still, and the guest's I/O waits.
    is_synced: bool


class Record(NamedTuple):
    """A text that ends where the size and time of images belong, which are right only while all jobs are pending."""

    file: int
    shown: bytes
    measures: List[Measure]
    #: As long as it ends open.
    open_bytes: int


class Plan(NamedTuple):
    socket: bytes
    disks: List[Disk]
    pending_seconds: float
    holds_sources: bool
    #: Completed and durable before the first stage.
    records: List[Record]
    #: Each is durable before the next one begins.
    stages: List[List[Move]]
    #: The stage that decides: all its moves done, there is no way back.
    commit: int
    #: Drivers of nodes that pass on what lies below them.
    filters: List[str]
    #: Moves that were begun, and are not durably taken back: where a name cannot be read or made safe, its rename may have been made.
    tried: Set[Move]


def read_plan(request: Request, stack: ExitStack) -> Plan:
    """Opens all that the plan names, and checks that each file is the expected one, under its old name or its new one."""
    arguments = Arguments(request.arguments.mapping("plan"))
    reader = Reader(request, stack)
    stages = arguments.values.get("stages")
    commit = arguments.whole("commit")
    if not isinstance(stages, list) or not all(stages) or commit >= len(stages):
        raise Failure("bad-request", "each stage has a move, and one of them is the commit point")
    return Plan(
        arguments.path("socket"),
        [reader.disk(values) for values in arguments.mappings("disks")],
        arguments.seconds("pendingSeconds"),
        arguments.flag("holdSources"),
        [reader.record(values) for values in arguments.mappings("records")],
        [[reader.move(values) for values in stage] for stage in stages],
        commit,
        arguments.texts("filters"),
        set(),
    )


class Reader:
    def __init__(self, request: Request, stack: ExitStack) -> None:
        self.request = request
        self.stack = stack

    def place(self, values: Dict[str, Any]) -> Place:
        return self.stack.enter_context(using(self.request, "plan", values))

    def disk(self, values: Dict[str, Any]) -> Disk:
        arguments = Arguments(values)
        places = [self.place(one) for one in arguments.mappings("places")]
        place = self.found(places, arguments.mapping("file"))
        source = place.open(os.O_RDONLY)
        self.stack.callback(os.close, source)
        return Disk(arguments.text("job"), arguments.text("device"), arguments.text("target"), source)

    def record(self, values: Dict[str, Any]) -> Record:
        arguments = Arguments(values)
        place = self.found([self.place(one) for one in arguments.mappings("places")], arguments.mapping("file"))
        file = place.open(os.O_WRONLY | os.O_APPEND)
        self.stack.callback(os.close, file)
        measures = [self.measure(Arguments(one)) for one in arguments.mappings("measures")]
        return Record(file, place.shown, measures, os.fstat(file).st_size)

    def measure(self, arguments: Arguments) -> Measure:
        places = [self.place(one) for one in arguments.mappings("places")]
        place = self.found(places, arguments.mapping("file"))
        image = place.open(os.O_RDONLY)
        self.stack.callback(os.close, image)
        return Measure(image, place.shown, arguments.text("textBehind"), arguments.flag("synced"))

    def move(self, values: Dict[str, Any]) -> Move:
        arguments = Arguments(values)
        old, new = self.place(arguments.mapping("from")), self.place(arguments.mapping("to"))
        back = arguments.optional_mapping("back")
        return Move(self.file([old, new], arguments.mapping("file")), old, new, None if back is None else self.back(Arguments(back), new))

    def back(self, arguments: Arguments, new: Place) -> Back:
        place = self.place(arguments.mapping("place"))
        return Back(place, self.file([place, new], arguments.mapping("file")))

    def file(self, places: List[Place], expected: Details) -> int:
        return self.stack.enter_context(held(self.found(places, expected)))

    def found(self, places: List[Place], expected: Details) -> Place:
        for place in places:
            try:
                with held(place) as descriptor:
                    if is_expected(identity_of(descriptor), expected):
                        return place
            except FileNotFoundError:
                continue
        raise Failure("other-file", "it is under none of the names that the plan gives it", places[0].shown)


def is_expected(found: Details, expected: Details) -> bool:
    """Nothing is removed by this. So where a file system tells neither generation nor birth, inode and device do, within one boot."""
    verdict = compare(found, expected)
    return verdict == SAME or (verdict == UNKNOWN and all(found[part] == expected[part] for part in ("bootId", "device", "inode")))


def complete(records: List[Record]) -> None:
    """Each once, and durable in any case. A new image is synced first: what of it cannot be written is an error here.

    All are written before the first one is synced: so one commit of the file system's journal does for all of them.
    """
    for record in records:
        if os.fstat(record.file).st_size == record.open_bytes:
            fill(record)
    for record in records:
        sync_descriptor(record.file, record.shown)


def sync_images(records: List[Record]) -> None:
    """Before the guest's I/O waits: what was written while the client was on its way is not to be written while it does."""
    for shown, image in {measure.shown: measure.image for record in records for measure in record.measures if measure.is_synced}.items():
        sync_descriptor(image, shown)


def fill(record: Record) -> None:
    for measure in record.measures:
        if measure.is_synced:
            sync_descriptor(measure.image, measure.shown)
    text = "".join(measured(os.fstat(measure.image)) + measure.text_behind for measure in record.measures)
    write_all(record.file, text.encode("utf-8", "surrogateescape"))


def measured(status: os.stat_result) -> str:
    seconds, nanoseconds = divmod(status.st_mtime_ns, 1000000000)
    return '"sizeBytes": %d, "modified": "%d.%09d"' % (status.st_size, seconds, nanoseconds)
