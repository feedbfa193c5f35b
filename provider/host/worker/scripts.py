"""Fixed scripts of the client's, each run by a shell of its own."""

import time
from typing import Callable, List

from worker.children import Child
from worker.errors import Details, Failure
from worker.requests import Request, operation
from worker.text import to_base64

#: A script that is cancelled is let come to its end for so long: cut in the middle it may leave a file half made.
GRACE_SECONDS = 15.0


def shell_words(request: Request) -> List[bytes]:
    """The script with its arguments in `$1`, `$2`, … . The worker's own umask is not the account's."""
    script = request.arguments.text("script").encode("utf-8")
    return [b"sh", b"-c", b"umask %04o\n%s" % (request.state.umask, script), b"sh"] + request.arguments.words("args", 0)


def patience(request: Request) -> Callable[[], None]:
    """Raises so long after the request was cancelled."""
    deadline = float("inf")

    def check() -> None:
        nonlocal deadline
        if request.cancelled.is_set():
            deadline = min(deadline, time.monotonic() + GRACE_SECONDS)
            if time.monotonic() > deadline:
                raise Failure("cancelled", "the request was cancelled")

    return check


@operation("script-run", changes=True)
def run(request: Request) -> Details:
    """The exit status as a shell has it, and both outputs as they are."""
    words = shell_words(request)
    given = request.arguments.content("stdin")
    limit = request.arguments.whole("outputBytesAtMost")
    check = patience(request)
    child = Child(request, words)
    try:
        child.talk(given, limit, check)
        child.wait(check)
    except BaseException:
        child.end()
        raise
    status = child.finish()
    stdout, stderr = child.outputs.values()
    return {
        "exitStatus": status if status >= 0 else 128 - status,
        "stdout": to_base64(bytes(stdout)),
        "stderr": to_base64(bytes(stderr)),
    }
