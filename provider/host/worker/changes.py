"""Changes of names: durable when they are answered, and never over a file that was not expected."""

import os
from contextlib import contextmanager
from typing import Iterator

from worker.errors import Details, Failure
from worker.files import require_identity
from worker.holders import holders_of_descriptor, locks_of
from worker.places import Place, sync_descriptor, using, using_place
from worker.requests import Request, operation
from worker.syscalls import rename_no_replace
from worker.trust import opened
from worker.wire import write_all


def rename(old: Place, new: Place) -> None:
    """Never replaces. Without renameat2 a second name is made and the first one removed: a cut between leaves both, of one file."""
    if rename_no_replace(old.directory, old.name, new.directory, new.name):
        return
    os.link(old.name, new.name, src_dir_fd=old.directory, dst_dir_fd=new.directory, follow_symlinks=False)
    os.unlink(old.name, dir_fd=old.directory)


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
        os.unlink(staged.name, dir_fd=staged.directory)
        raise
    sync_names(place)


@operation("file-write", changes=True)
def write(request: Request) -> Details:
    """A file with this content and mode, whole and durable or not at all."""
    content = request.arguments.content("content")
    mode = request.arguments.whole("mode")
    with using_place(request) as place, using_staging(request, place) as staged:
        descriptor = staged.open(os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            os.fchmod(descriptor, mode)
            write_all(descriptor, content)
            sync_descriptor(descriptor, place.shown)
        except BaseException:
            os.unlink(staged.name, dir_fd=staged.directory)
            raise
        finally:
            os.close(descriptor)
        move_in(request, staged, place)
    return {}


@operation("link-write", changes=True)
def write_link(request: Request) -> Details:
    """A symbolic link, made whole under its name or not at all."""
    target = request.arguments.text("target")
    with using_place(request) as place, using_staging(request, place) as staged:
        os.symlink(target.encode("utf-8", "surrogateescape"), staged.name, dir_fd=staged.directory)
        move_in(request, staged, place)
    return {}


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
        words = "%d processes cannot be looked into by this account" % found.hidden
        raise Failure("open", words, place.shown, details={"hidden": found.hidden})
