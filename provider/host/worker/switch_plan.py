"""A switch as data: which jobs, which names change in which order, and which change is the commit point."""

import os
from contextlib import ExitStack
from typing import Any, Dict, List, NamedTuple, Optional, Set

from worker.arguments import Arguments
from worker.changes import rename, replace
from worker.errors import Details, Failure
from worker.files import held
from worker.identity import SAME, compare, identity_of
from worker.places import Place, sync_descriptor, using
from worker.requests import Request


class Disk(NamedTuple):
    job: str
    #: Its qdev, and the node that is active once its job has pivoted.
    device: str
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


class Plan(NamedTuple):
    socket: bytes
    disks: List[Disk]
    pending_seconds: float
    holds_sources: bool
    #: Each is durable before the next one begins.
    stages: List[List[Move]]
    #: The stage that decides: its only move done, there is no way back.
    commit: int


def read_plan(request: Request, stack: ExitStack) -> Plan:
    """Opens all that the plan names, and checks that each file is the expected one, under its old name or its new one."""
    arguments = Arguments(request.arguments.mapping("plan"))
    reader = Reader(request, stack)
    stages = arguments.values.get("stages")
    commit = arguments.whole("commit")
    if not isinstance(stages, list) or commit >= len(stages) or len(stages[commit]) != 1:
        raise Failure("bad-request", "the commit point is one move of its own stage")
    return Plan(
        arguments.path("socket"),
        [reader.disk(values) for values in arguments.mappings("disks")],
        arguments.seconds("pendingSeconds"),
        arguments.flag("holdSources"),
        [[reader.move(values) for values in stage] for stage in stages],
        commit,
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
                    if compare(identity_of(descriptor), expected) == SAME:
                        return place
            except FileNotFoundError:
                continue
        raise Failure("other-file", "it is under none of the names that the plan gives it", places[0].shown)


def is_under(place: Place, file: int) -> bool:
    found, expected = place.status_or_none(), os.fstat(file)
    return found is not None and (found.st_dev, found.st_ino) == (expected.st_dev, expected.st_ino)


def is_committed(plan: Plan) -> bool:
    move = plan.stages[plan.commit][0]
    return is_under(move.new, move.file)


def apply(moves: List[Move]) -> None:
    """Does what is not yet done, and makes all of it durable."""
    for move in moves:
        if is_under(move.new, move.file):
            continue
        if not is_under(move.old, move.file):
            raise Failure("other-file", "it is no longer under its name", move.old.shown)
        (rename if move.back is None else replace)(move.old, move.new)
    sync(moves)


def revert(moves: List[Move]) -> None:
    """Undoes what is done, the last one first, and makes that durable."""
    for move in reversed(moves):
        if not is_under(move.new, move.file):
            continue
        if move.back is None:
            rename(move.new, move.old)
        elif is_under(move.back.place, move.back.file):
            replace(move.back.place, move.new)
        else:
            raise Failure("other-file", "what would be put back is no longer under its name", move.back.place.shown)
    sync(moves)


def sync(moves: List[Move]) -> None:
    """Each directory once: a stage of several disks has few of them."""
    done: Set[object] = set()
    for place in [place for move in moves for place in (move.new, move.old)]:
        status = os.fstat(place.directory)
        key = (status.st_dev, status.st_ino)
        if key not in done:
            done.add(key)
            sync_descriptor(place.directory, place.shown)
