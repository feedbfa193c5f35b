import contextlib
import os
import signal
import unittest
from typing import List

from hanging import Hanging
from support import Folder
from worker.errors import Failure
from worker.virsh import Silence, Virsh, command, verdict, word

#: Echoes as readline does, and ends no line of its own echo. `die` ends it.
PROGRAM = b"""#!/bin/sh
while IFS= read -r line; do
  printf 'virsh # %s\\n' "$line"
  case $line in
    'echo '*) printf %s "${line#echo }" ;;
    die) exit 1 ;;
    down) if [ -e gone ]; then rm gone; echo "error: gone"; else echo back; fi ;;
    ''|hostname) ;;
    *) echo "said $line"; echo "error: no" ;;
  esac
done
"""


class WithVirsh(Folder):
    def setUp(self) -> None:
        super().setUp()
        os.chmod(self.write(b"virsh", PROGRAM), 0o755)
        self.addCleanup(os.environ.__setitem__, "PATH", os.environ["PATH"])
        self.addCleanup(os.chdir, os.getcwd())
        os.environ["PATH"] = "%s:%s" % (os.fsdecode(self.folder), os.environ["PATH"])
        os.chdir(self.folder)
        self.virsh = Virsh("test:///default", [])
        self.addCleanup(self.virsh.close)


class OneVirsh(WithVirsh):
    def test_an_answer_is_what_stands_between_the_echoes(self) -> None:
        reply = self.virsh.ask("domstate 'x'")
        self.assertEqual((reply.text, reply.refused), ("said domstate 'x'\nerror: no", "no"))

    def test_whoever_begins_it_is_told_before_it_is_told_anything(self) -> None:
        began: List[int] = []
        self.virsh.starts = began.append
        self.virsh.ask("hostname")
        assert self.virsh.process is not None
        self.assertEqual(began, [self.virsh.process.pid])

    def test_one_that_ends_is_a_refusal_and_the_next_question_begins_another(self) -> None:
        self.assertEqual(self.virsh.ask("die").refused, "virsh ended")
        self.assertIsNone(self.virsh.ask("down").refused)

    def test_what_was_refused_is_asked_once_more_where_libvirtd_answers_by_now(self) -> None:
        self.write(b"gone", b"")
        self.assertEqual(self.virsh.insist("down", lambda: False).text, "back")

    def test_what_is_refused_twice_is_refused(self) -> None:
        self.assertEqual(self.virsh.insist("x", lambda: True).refused, "no")

    def test_a_silence_is_told_again_and_again_until_an_answer(self) -> None:
        told: List[float] = []
        clock = [0.0]
        silence = Silence(lambda: clock[0])
        silence.tell = told.append
        for clock[0] in range(25):
            silence.goes_on()
        silence.ends()
        for clock[0] in range(100, 111):
            silence.goes_on()
        self.assertEqual(told, [10, 20, 10])


class Words(unittest.TestCase):
    def test_a_name_is_one_word_whatever_it_holds(self) -> None:
        self.assertEqual(command("resume --x", "it's", "a $(b)"), "resume --x 'it'\\''s' 'a $(b)'")

    def test_a_control_character_is_refused(self) -> None:
        for text in ("a\nb", "\t", "\x7f"):
            with self.assertRaises(Failure):
                word(text)

    def test_a_document_is_a_success_whatever_its_lines_say(self) -> None:
        self.assertIsNone(verdict(["", "<domain>", "error: in a description", "</domain>"]).refused)
        self.assertEqual(verdict(["error: a", "x", "error: b"]).refused, "a; b")


@unittest.skipIf(os.getuid() != 0, "only root mounts file systems")
class OnStorageThatHangs(WithVirsh):
    def setUp(self) -> None:
        super().setUp()
        os.mkdir(self.path(b"mount"))
        self.hanging = Hanging(self.path(b"mount"))
        self.addCleanup(self.hanging.close)
        lock = os.open(self.hanging.file, os.O_RDWR)
        self.addCleanup(self.close_lock, lock)
        self.virsh.locks = [lock]

    def close_lock(self, lock: int) -> None:
        """Once its file system has ended: then nothing hangs."""
        self.hanging.end()
        with contextlib.suppress(OSError):
            os.close(lock)
        for process in self.virsh.dead:
            process.wait()

    def test_a_dead_one_is_seen_although_the_close_of_a_lock_that_it_has_hangs(self) -> None:
        self.virsh.ask("hostname")
        assert self.virsh.process is not None
        os.kill(self.virsh.process.pid, signal.SIGKILL)
        self.assertEqual(self.virsh.ask("hostname").refused, "virsh ended")
        self.assertEqual(self.hanging.closes(), 1)
