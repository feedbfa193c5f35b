"""Programs of the host that the worker runs: by a list of words, with bounded output, in a process group that is ended as a whole."""

import os
import signal
import subprocess
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from worker.arguments import Arguments, encoded, wrong
from worker.errors import Details, Failure
from worker.limits import OPEN_FILES
from worker.requests import Request, operation
from worker.text import to_base64, to_text
from worker.waiting import ready

#: Between the question to end and the end.
TERMINATE_SECONDS = 2.0

#: How long a program's descendants may keep its outputs open when it has ended itself.
LINGER_SECONDS = 1.0

#: Daemons and their tools are not in every account's PATH.
EXTRA_PATH = ":/usr/local/sbin:/usr/sbin:/sbin"


class Child:
    """One program. It inherits the locks: should the worker die, they last until the program has ended too."""

    def __init__(self, request: Request, words: List[bytes], files: Tuple[int, ...] = ()) -> None:
        """`files` are descriptors that it inherits."""
        environment = dict(os.environ, LC_ALL="C", PATH=os.environ.get("PATH", os.defpath) + EXTRA_PATH)
        program = found_in(environment["PATH"], words[0])
        with request.state.locks.inheritable() as locks:
            self.process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,
                pass_fds=tuple(locks) + files,
                executable=program,
            )
        OPEN_FILES.give_back(self.process.pid)
        assert self.process.stdin and self.process.stdout and self.process.stderr
        self.stdin: Optional[int] = self.process.stdin.fileno()
        self.outputs: Dict[int, bytearray] = {self.process.stdout.fileno(): bytearray(), self.process.stderr.fileno(): bytearray()}
        self.open = set(self.outputs)

    def talk(self, given: bytes, limit: int, check: Callable[[], None]) -> None:
        """Writes the input and reads the outputs until they are closed. Each output has at most `limit` bytes."""
        assert self.stdin is not None
        os.set_blocking(self.stdin, False)
        left = memoryview(given)
        ended: Optional[float] = None
        while self.open:
            check()
            if not left:
                self.close_input()
            writable = [] if self.stdin is None else [self.stdin]
            now = ready(0.1, self.open, writable)
            if self.stdin in now:
                left = self.write(left)
            for descriptor in now & self.open:
                self._read(descriptor, limit)
            if self.has_ended():
                ended = ended or time.monotonic()
                if time.monotonic() - ended > LINGER_SECONDS:
                    return

    def wait(self, check: Callable[[], None]) -> None:
        """For a program that has closed its outputs and goes on."""
        while not self.has_ended():
            check()
            time.sleep(0.02)

    def write(self, left: memoryview) -> memoryview:
        assert self.stdin is not None
        try:
            return left[os.write(self.stdin, left[:65536]):]
        except BlockingIOError:
            return left
        except BrokenPipeError:  # it does not read on: its own matter
            return left[len(left):]

    def close_input(self) -> None:
        if self.stdin is not None and self.process.stdin is not None:
            self.stdin = None
            self.process.stdin.close()

    def _read(self, descriptor: int, limit: int) -> None:
        piece = os.read(descriptor, 65536)
        if not piece:
            self.open.discard(descriptor)
        output = self.outputs[descriptor]
        output += piece
        if len(output) > limit:
            raise Failure("too-large", "it says more than %d bytes" % limit, details={"limit": limit})

    def finish(self) -> int:
        """The status of one that has ended, as `end`; what it has left running goes on."""
        status = self.process.wait()
        self.leave()
        return status

    def leave(self) -> None:
        """Nobody listens to it any more; what it does then is its own. Its locks last until it has ended."""
        self.close_input()
        self._close_outputs()

    def end(self) -> int:
        """Ends the whole group, however far it is, and waits for the program. Its status, negative for a signal, as subprocess has it."""
        if not self.has_ended():
            self._signal(signal.SIGTERM)
            deadline = time.monotonic() + TERMINATE_SECONDS
            while not self.has_ended() and time.monotonic() < deadline:
                time.sleep(0.02)
        # Before it is waited for: until then its number cannot be another process's or group's.
        self._signal(signal.SIGKILL)
        status = self.process.wait()
        self.close_input()
        self._close_outputs()
        return status

    def _close_outputs(self) -> None:
        for output in (self.process.stdout, self.process.stderr):
            if output is not None:
                output.close()

    def has_ended(self) -> bool:
        """Without taking it from the kernel's table."""
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass


def found_in(path: str, word: bytes) -> bytes:
    """The program's file. subprocess looks for it in the worker's own PATH, which has no sbin."""
    if b"/" in word:
        return word
    for folder in path.split(":"):
        candidate = os.path.join(os.fsencode(folder or "."), word)
        if os.access(candidate, os.X_OK) and not os.path.isdir(candidate):
            return candidate
    raise Failure("no-program", "there is no program %s" % to_text(word))


def never() -> None:
    """Never raises."""


class Ran(NamedTuple):
    status: int
    stdout: bytes
    stderr: bytes

    def told(self) -> Details:
        return {
            "exitStatus": self.status if self.status >= 0 else None,
            "signal": -self.status if self.status < 0 else None,
            "stdout": to_base64(self.stdout),
            "stderr": to_base64(self.stderr),
        }


@operation("program-run", changes=True)
def run(request: Request) -> Details:
    """The exit status, or the signal that ended it, and both outputs as they are.

    A word `{"file": number}` is the path of a file that is held open. `whenCancelled` is `end`, or `finish` for what must not be cut in
    the middle: then it is waited for.
    """
    check = request.check if request.arguments.choice("whenCancelled", ["end", "finish"]) == "end" else never
    files: List[int] = []

    def path_of(values: Dict[str, Any]) -> bytes:
        files.append(request.state.files.duplicate(Arguments(values).whole("file")))
        return open_path(files[-1])

    try:
        return ran(request, command_words(request, path_of), check, tuple(files)).told()
    finally:
        for descriptor in files:
            os.close(descriptor)


def ran(request: Request, words: List[bytes], check: Callable[[], None], files: Tuple[int, ...]) -> Ran:
    given = request.arguments.content("stdin")
    child = Child(request, words, files)
    try:
        child.talk(given, request.arguments.whole("outputBytesAtMost"), check)
        child.wait(check)
    finally:
        status = child.end()
    stdout, stderr = child.outputs.values()
    return Ran(status, bytes(stdout), bytes(stderr))


def command_words(request: Request, path_of: Callable[[Dict[str, Any]], bytes]) -> List[bytes]:
    """Words of a command line; one that is an object stands for a file."""
    words = request.arguments.values.get("words")
    if not isinstance(words, list) or not words:
        raise wrong("words", "a list of words")
    return [path_of(word) if isinstance(word, dict) else encoded("words", Arguments({"word": word}).text("word")) for word in words]


def open_path(descriptor: int) -> bytes:
    """By which a program that inherits the descriptor opens this very file, whatever its names lead to by then."""
    return b"/proc/self/fd/%d" % descriptor
