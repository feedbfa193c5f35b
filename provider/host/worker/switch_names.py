"""What a switch does to names, and whether it is done."""

import errno
import os
from typing import List, Optional, Set

from worker.changes import rename, replace
from worker.errors import Failure
from worker.places import sync_descriptor
from worker.switch_plan import Move, Plan


#: Of rename(2): nothing was changed. Not those that a server's repeated answer may give (ENOENT, EEXIST), nor those of storage that fails.
REFUSALS = (errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EXDEV)


def is_committed(plan: Plan) -> bool:
    return all(is_done(move) for move in plan.stages[plan.commit])


def is_perhaps_committed(plan: Plan) -> bool:
    """Whether a boot may go by it by now: an error of a rename, or of what takes it back, does not say that it was not made."""
    decides = plan.stages[plan.commit]
    try:
        if is_committed(plan):
            return True
        sync(decides)
        return False
    except (OSError, Failure):
        return plan.tried.issuperset(decides)


def is_committed_or_unreadable(plan: Plan) -> bool:
    try:
        return is_committed(plan)
    except OSError:
        return True


def is_done(move: Move) -> bool:
    """A cut of `rename` may leave both names: then a boot by the old one still finds the file."""
    return move.new.is_name_of(move.file) and not (move.back is None and move.old.is_name_of(move.file))


def apply(moves: List[Move], tried: Optional[Set[Move]] = None) -> None:
    """Does what is not yet done, and makes all of it durable."""
    for move in moves:
        if is_done(move):
            continue
        if not move.old.is_name_of(move.file):
            raise Failure("other-file", "it is no longer under its name", move.old.shown)
        if tried is not None:
            tried.add(move)
        try:
            (rename if move.back is None else replace)(move.old, move.new)
        except OSError as refusal:
            # one rename that the system refuses is not made; without renameat2 it may be two calls
            if tried is not None and move.back is not None and refusal.errno in REFUSALS:
                tried.discard(move)
            raise
    sync(moves)


def revert(moves: List[Move], tried: Optional[Set[Move]] = None) -> None:
    """Undoes what is done, the last one first, and makes that durable."""
    for move in reversed(moves):
        if not move.new.is_name_of(move.file):
            continue
        if move.back is None:
            rename(move.new, move.old)
        elif move.back.place.is_name_of(move.back.file):
            replace(move.back.place, move.new)
        else:
            raise Failure("other-file", "what would be put back is no longer under its name", move.back.place.shown)
    sync(moves)
    if tried is not None:
        tried.difference_update(moves)


def sync(moves: List[Move]) -> None:
    """Each directory once: a stage of several disks has few of them."""
    done: Set[object] = set()
    for place in [place for move in moves for place in (move.new, move.old)]:
        status = os.fstat(place.directory)
        key = (status.st_dev, status.st_ino)
        if key not in done:
            done.add(key)
            sync_descriptor(place.directory, place.shown)
