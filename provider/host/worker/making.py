"""New files that a program of the host makes: it is given the open file, so swapping names meanwhile has no effect on it."""

from worker.attributes import require_owner_and_mode
from worker.changes import give_attributes, making, require_name, sync_names, told_of
from worker.children import Ran, command_words, never, open_path, ran
from worker.errors import Details
from worker.places import showing, sync_descriptor, using_place
from worker.requests import Request, operation


class NotMade(Exception):
    def __init__(self, how: Ran) -> None:
        super().__init__()
        self.how = how


@operation("program-make", changes=True)
def make(request: Request) -> Details:
    """A file of a free name, made by a program for which a word that is an object is its path. `like` as in `file-write`.

    Durable, or not there at all. Where the program fails, `made` is null.
    """
    with using_place(request) as place, showing(place):
        try:
            with making(place) as descriptor:
                done = ran(request, command_words(request, lambda _: open_path(descriptor)), never, (descriptor,))
                if done.status != 0:
                    raise NotMade(done)
                left = give_attributes(request, descriptor)
                require_owner_and_mode(left)
                sync_descriptor(descriptor, place.shown)
                request.fence()
                require_name(place, descriptor)
                made = told_of(descriptor, left)
        except NotMade as failed:
            return dict(failed.how.told(), made=None)
        sync_names(place)
    return dict(done.told(), made=made)
