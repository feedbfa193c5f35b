"""One virsh that stays open: a command in, its reply out. Its words are for people; whether it refused is all that decides.

One for each command would take 20 to 70 ms each (measured: it loads libvirt's libraries and connects), and a guest waits meanwhile.
"""

import os
import subprocess
import time
from typing import Callable, List, NamedTuple, Optional

from worker.children import EXTRA_PATH, found_in
from worker.errors import Failure
from worker.processes import is_exiting, start_time
from worker.text import to_bytes, to_text
from worker.waiting import ready

#: Between two questions to a libvirtd that is down, and between two looks at a virsh that is silent.
PAUSE_SECONDS = 1.0

#: A silence is told as often as so many seconds have passed.
WORD_SECONDS = 10.0

#: virsh reads with readline, which echoes each line; COLUMNS keeps that echo on one line. In the C locale only ASCII is no key.
ENVIRONMENT = {"LC_ALL": "C.UTF-8", "COLUMNS": "65000", "TERM": "dumb", "INPUTRC": "/dev/null"}

ERROR = "error: "


class Reply(NamedTuple):
    text: str
    #: libvirt's or virsh's words; None: it is done.
    refused: Optional[str]


def word(text: str) -> str:
    """Within single quotes nothing is special (vshCommandStringGetArg() in tools/vsh.c, libvirt 9.0). Control characters are keys."""
    if any(ord(character) < 32 or character == "\x7f" for character in text):
        raise Failure("bad-request", "virsh can be told no name with a control character")
    return "'%s'" % text.replace("'", "'\\''")


def command(fixed: str, *words: str) -> str:
    """A command of fixed words and options, and of words that somebody else chose."""
    return " ".join([fixed] + [word(one) for one in words])


class Silence:
    """Of a libvirtd that is down, or that takes long: a guest may stand still until it answers."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        #: Is told the seconds.
        self.tell: Callable[[float], None] = lambda seconds: None
        self.began: Optional[float] = None
        self.told = 0.0

    def goes_on(self) -> None:
        now = self.clock()
        if self.began is None:
            self.began = self.told = now
        elif now - self.told >= WORD_SECONDS:
            self.told = now
            self.tell(now - self.began)

    def ends(self) -> None:
        self.began = None


class Virsh:
    """It holds the locks too: a command that it has been told runs to its end, whatever becomes of the worker."""

    def __init__(self, uri: str, locks: List[int], starts: Callable[[int], None] = lambda pid: None) -> None:
        self.uri = uri
        self.locks = locks
        #: Is told its process id before it is told anything.
        self.starts = starts
        self.path = os.environ.get("PATH", os.defpath) + EXTRA_PATH
        self.program = found_in(self.path, b"virsh")
        self.process: Optional["subprocess.Popen[bytes]"] = None
        self.started: Optional[int] = None
        #: Those whose files hang at their close.
        self.dead: List["subprocess.Popen[bytes]"] = []
        self.partial = b""
        self.silence = Silence()
        #: Whether libvirtd may have been another one since: then a question about jobs must come before what it says is believed.
        self.was_refused = False

    def ask(self, line: str) -> Reply:
        """Once, however long it takes."""
        token = "livedisk-%s" % os.urandom(8).hex()
        try:
            self._send("\n%s\necho %s\n\n" % (line, token))
            said = self._frame(token)
        except (OSError, EOFError):
            self._end()
            said = [ERROR + "virsh ended"]
        reply = verdict(said)
        self.was_refused = self.was_refused or reply.refused is not None
        if reply.refused is None:
            self.silence.ends()
        return reply

    def insist(self, line: str, may_wait: Callable[[], bool]) -> Reply:
        """For what may be asked twice: again where libvirtd was not there, however long it is away, as long as it makes sense to wait."""
        while True:
            reply = self.ask(line)
            if reply.refused is None:
                return reply
            if self._answers_at_once():
                again = self.ask(line)  # the first question after libvirtd came back is refused
                if again.refused is None or self._answers_at_once():  # refused by a libvirtd that is there
                    return again
            while may_wait() and not self._answers_at_once():
                self.silence.goes_on()
                time.sleep(PAUSE_SECONDS)
            if not may_wait():
                return reply

    def _answers_at_once(self) -> bool:
        return self.ask("hostname").refused is None

    def close(self) -> None:
        """virsh ends with its input."""
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
        self._end()

    def _send(self, text: str) -> None:
        if self.process is None:
            environment = dict(os.environ, PATH=self.path, **ENVIRONMENT)
            environment.pop("LANGUAGE", None)
            self.partial = b""
            self.process = subprocess.Popen(
                [b"virsh", b"-q", b"-c", to_bytes(self.uri)],
                executable=self.program,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
                pass_fds=self.locks,
            )
            self.started = start_time(self.process.pid)
            self.starts(self.process.pid)
        assert self.process.stdin is not None
        self.process.stdin.write(to_bytes(text))
        self.process.stdin.flush()

    def _frame(self, token: str) -> List[str]:
        """The lines up to the token, without the echo of readline's."""
        lines: List[str] = []
        while True:
            line = self._line()
            if line.startswith(token):
                return lines
            if not line.startswith(("virsh # ", "virsh > ")):
                lines.append(line)

    def _line(self) -> str:
        assert self.process is not None and self.process.stdout is not None
        while b"\n" not in self.partial:
            while not ready(PAUSE_SECONDS, [self.process.stdout.fileno()]):
                self.silence.goes_on()
                if is_exiting(self.process.pid, self.started):  # its output is closed with the last of its files, and that may hang
                    raise EOFError
            piece = os.read(self.process.stdout.fileno(), 65536)
            if not piece:
                raise EOFError
            self.partial += piece
        line, _, self.partial = self.partial.partition(b"\n")
        return to_text(line)

    def _end(self) -> None:
        """Its number cannot be another process's before it is waited for."""
        process, self.process = self.process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    pass  # what was not sent
        while True:
            try:
                process.wait(PAUSE_SECONDS)
                return
            except subprocess.TimeoutExpired:
                if is_exiting(process.pid, self.started):
                    self.dead.append(process)
                    return


def verdict(lines: List[str]) -> Reply:
    """A document is a success, whatever its lines say (vshError() in tools/vsh.c, libvirt 9.0)."""
    first = next((line for line in lines if line.strip()), "")
    errors = [] if first.startswith("<") else [line[len(ERROR):].strip() for line in lines if line.startswith(ERROR)]
    return Reply("\n".join(lines), "; ".join(errors) if errors else None)
