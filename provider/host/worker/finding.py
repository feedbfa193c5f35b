"""Small files that are known by their names: which there are in a directory, and, where they are few, what they say."""

import os
import re
from typing import List, Optional

from worker.directories import names_in
from worker.errors import Details, Failure, outcome_of
from worker.files import read_from
from worker.paths import open_directory
from worker.places import Place
from worker.requests import Request, operation
from worker.text import to_text


@operation("files-find")
def find(request: Request) -> Details:
    """Those whose whole name matches `pattern`. More than `limit` is an error and not a shorter list.

    Where there are at most `few`, each is read as a trusted file of at most `bytes`, or tells why it cannot be.
    """
    arguments = request.arguments
    path, few, limit = arguments.path("path"), arguments.whole("few"), arguments.whole("bytes")
    directory = open_directory(path)
    try:
        places = [Place(directory, name, os.path.join(path, name)) for name in matching(request, directory, path)]
        found: List[Details] = []
        for place in places:
            read: Optional[Details] = outcome_of(lambda: read_from(place, limit, True)) if len(places) <= few else None
            found.append({"name": to_text(place.name), "read": read})
        return {"files": found}
    finally:
        os.close(directory)


def matching(request: Request, directory: int, path: bytes) -> List[bytes]:
    pattern = re.compile(request.arguments.text("pattern").encode("ascii"))
    limit = request.arguments.whole("limit")
    names = []
    for name in names_in(directory):
        request.check()
        if pattern.fullmatch(name):
            names.append(name)
        if len(names) > limit:
            raise Failure("too-large", "it has more than %d such files" % limit, path, details={"limit": limit})
    return names
