"""Changes of names: durable when they are answered, and never over a file that was not expected."""

import errno
import os
import stat
from contextlib import contextmanager, suppress
from typing import Iterator, List, Optional

from worker.arguments import Arguments
from worker.attributes import carry_from, require_owner_and_mode
from worker.errors import Details, Failure
from worker.files import described, require_identity
from worker.holders import holders_of_descriptor, locks_of
from worker.identity import identity_of
from worker.places import Place, showing, sync_descriptor, using, using_place
from worker.requests import Request, operation
from worker.syscalls import rename_no_replace
from worker.trust import opened
from worker.wire import write_all


def rename(old: Place, new: Place) -> None:
    """Never replaces. Without renameat2 a second name is made and the first one removed: what a cut between has left is gone on with."""
    try:
        if rename_no_replace(old.directory, old.name, new.directory, new.name):
            return
        os.link(old.name, new.name, src_dir_fd=old.directory, dst_dir_fd=new.directory, follow_symlinks=False)
    except FileExistsError:
        if not os.path.samestat(status_of(old), status_of(new)):
            raise
    os.unlink(old.name, dir_fd=old.directory)


def status_of(place: Place) -> os.stat_result:
    return os.stat(place.name, dir_fd=place.directory, follow_symlinks=False)


def replace(old: Place, new: Place) -> None:
    os.rename(old.name, new.name, src_dir_fd=old.directory, dst_dir_fd=new.directory)


def sync_names(*places: Place) -> None:
    for place in places:
        sync_descriptor(place.directory, place.shown)


@contextmanager
def using_staging(request: Request, place: Place) -> Iterator[Place]:
    """A new name in the directory `through`, 0700 and ours, where others may write beside the place; else beside the place."""
    name = b".livedisk-" + os.urandom(8).hex().encode("ascii")
    if not request.arguments.has("through"):
        yield Place(place.directory, name, place.shown)
        return
    with request.state.directories.using(request.arguments.whole("through")) as directory:
        yield Place(directory, name, place.shown)


def move_in(request: Request, staged: Place, place: Place) -> None:
    """The staged file gets its name: a free one, or with `replace` that of the expected file."""
    try:
        request.fence()
        if request.arguments.flag("replace"):
            require_identity(request, place, request.arguments.optional_mapping("expected"))
            replace(staged, place)
        else:
            rename(staged, place)
    except BaseException:
        discard(staged)
        raise
    sync_names(place)


def discard(place: Place) -> None:
    """What failed says more than that somebody else has taken the file away."""
    with suppress(OSError):
        os.unlink(place.name, dir_fd=place.directory)


@operation("file-write", changes=True)
def write(request: Request) -> Details:
    """A file with this content, whole and durable or not at all: with this mode, or with what the file `like` has besides its bytes.

    `left` names what of that could not be taken over, with the errno.
    """
    content = request.arguments.content("content")
    with using_place(request) as place, showing(place), using_staging(request, place) as staged, making(staged) as descriptor:
        write_all(descriptor, content)
        left = give_attributes(request, descriptor)
        require_owner_and_mode(left)
        sync_descriptor(descriptor, place.shown)
        move_in(request, staged, place)
        require_name(place, descriptor)
        return told_of(descriptor, left)


def told_of(descriptor: int, left: List[Details]) -> Details:
    return dict(described(os.fstat(descriptor)), identity=identity_of(descriptor), left=left)


@contextmanager
def making(place: Place) -> Iterator[int]:
    """A new file that goes again if something fails."""
    descriptor = place.open(os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        yield descriptor
    except BaseException:
        if place.is_name_of(descriptor):
            discard(place)
        raise
    finally:
        os.close(descriptor)


def give_attributes(request: Request, descriptor: int) -> List[Details]:
    if request.arguments.has("mode"):
        os.fchmod(descriptor, request.arguments.whole("mode"))
    if not request.arguments.has("like"):
        return []
    with using_place(request, "like") as like:
        return carry_from(like, descriptor)


def require_name(place: Place, descriptor: int) -> None:
    """Where others may write, the new name may already be another file's."""
    if not place.is_name_of(descriptor):
        raise Failure("other-file", "somebody has put something else in its place", place.shown)


@operation("link-write", changes=True)
def write_link(request: Request) -> Details:
    """A symbolic link, made whole under its name or not at all. With `overLink` it replaces a link, and nothing else."""
    target = request.arguments.text("target")
    with using_place(request) as place, showing(place), using_staging(request, place) as staged:
        if request.arguments.flag("overLink"):
            require_link_or_none(place)
        os.symlink(target.encode("utf-8", "surrogateescape"), staged.name, dir_fd=staged.directory)
        move_in(request, staged, place)
    return {}


def require_link_or_none(place: Place) -> None:
    status = place.status_or_none()
    if status is not None and not stat.S_ISLNK(status.st_mode):
        raise Failure("not-link", "it is not a symbolic link", place.shown)


@operation("file-move", changes=True)
def move(request: Request) -> Details:
    """Of the expected file, in one file system. What the new name had is replaced only with `replace`."""
    arguments = request.arguments
    with using(request, "from", arguments.mapping("from")) as old, using(request, "to", arguments.mapping("to")) as new:
        require_identity(request, old, arguments.optional_mapping("expected"))
        if arguments.flag("replace"):
            replace(old, new)
        else:
            rename(old, new)
        sync_names(new, old)
    return {}


@operation("names-remove", changes=True)
def remove_names(request: Request) -> Details:
    """Files and links, in this order, never a directory; with `expected` that file alone. A name that nothing has is none to remove."""
    for values in request.arguments.mappings("names"):
        try:
            with using(request, "names", Arguments(values).mapping("place")) as place, showing(place):
                remove_name(request, place, Arguments(values).optional_mapping("expected"))
        except (FileNotFoundError, NotADirectoryError):
            continue
    return {}


def remove_name(request: Request, place: Place, expected: Optional[Details]) -> None:
    status = place.status_or_none()
    if status is None:
        return
    if stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    require_identity(request, place, expected)
    request.fence()
    os.unlink(place.name, dir_fd=place.directory)
    sync_names(place)


@operation("file-remove", changes=True)
def remove(request: Request) -> Details:
    """The expected file, and only if no process is seen to have it open.

    It is taken off its name before it is looked at for good, so that nobody opens it between the checks and the removal; what is refused
    gets its name back. A worker that is killed in between takes the name of a file that nobody had open: it is looked at before as well.
    `hidden` says whether processes that this account may not look into are a refusal.
    """
    expected = request.arguments.mapping("expected")
    hidden = request.arguments.choice("hidden", ["allow", "refuse"])
    with using_place(request) as place, using_staging(request, place) as staged:
        require_identity(request, place, expected)
        require_unused(place, hidden)
        rename(place, staged)
        try:
            require_identity(request, staged, expected)
            require_unused(staged, hidden)
        except BaseException:
            rename(staged, place)
            sync_names(place)
            raise
        os.unlink(staged.name, dir_fd=staged.directory)
        sync_names(place)
    return {}


def require_unused(place: Place, hidden: str) -> None:
    """By the descriptors of all processes, and by the locks, which processes that are hidden hold as well."""
    with opened(place, os.O_RDONLY) as descriptor:
        found = holders_of_descriptor(descriptor)
        locks = locks_of(os.fstat(descriptor))
    if found.open:
        words = "process %d (%s) has it open" % (found.open[0]["pid"], found.open[0]["program"])
        raise Failure("open", words, place.shown, details={"holders": found.open})
    if locks:
        raise Failure("open", "a process holds a lock on it", place.shown, details={"locks": locks})
    if found.hidden and hidden == "refuse":
        words = "there are processes that this account cannot look into"
        raise Failure("open", words, place.shown, details={"hidden": found.hidden})
