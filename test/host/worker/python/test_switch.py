"""A switch whose storage fails: where its guest is afterwards, and what a boot finds then, if it finds anything."""

import errno
import os
from typing import Any, Callable, Dict, List, Set
from unittest import mock

from support import Folder
from worker import changes, switch, switch_names, switch_plan
from worker.errors import Details, Failure
from worker.line import Answer, Command
from worker.paths import DIRECTORY_FLAGS
from worker.places import Place, sync_descriptor
from worker.switch_plan import Back, Disk, Measure, Move, Plan, Record


class Jobs:
    """One job that is ready, as a QEMU has it."""

    def __init__(self) -> None:
        self.status = "ready"
        self.active = "source"
        #: Where it is asked behind other commands.
        self.refuses_blocks = False

    def execute(self, command: str, arguments: Details, check: Callable[[], None]) -> Any:
        if command == "query-jobs":
            return [{"id": "job", "status": self.status}]
        if command == "query-block":
            return [{"qdev": "/disk", "inserted": {"node-name": self.active}}]
        if command == "query-named-block-nodes":
            return [{"node-name": self.active, "drv": "qcow2"}]
        if command == "x-debug-query-block-graph":
            return {"nodes": [{"id": 0, "name": self.active, "type": "block-driver"}], "edges": []}
        if command == "job-complete":
            self.status = "pending"
        elif command == "job-finalize":
            self.status, self.active = "concluded", "target"
        elif command == "job-cancel" and self.status != "concluded":
            self.status = "concluded"
        return {}

    def execute_all(self, commands: List[Command], check: Callable[[], None]) -> List[Answer]:
        return [self.answer(command, arguments, check) for command, arguments in commands]

    def answer(self, command: str, arguments: Details, check: Callable[[], None]) -> Answer:
        refused = Failure("qmp", "cannot read bitmaps") if command == "query-block" and self.refuses_blocks else None
        return Answer(None if refused else self.execute(command, arguments, check), refused)

    def wait(self, seconds: float) -> None:
        pass


class Failing(Folder):
    """A link that decides, in one directory; the image that goes stale, in another one."""

    def setUp(self) -> None:
        super().setUp()
        self.jobs = Jobs()
        for folder in (b"links", b"source"):
            os.mkdir(self.path(folder))
        os.symlink(b"src", self.path(b"links/link"))
        os.symlink(b"src", self.path(b"links/link.back"))
        os.symlink(b"dst", self.path(b"links/link.next"))
        self.write(b"source/image", b"")
        self.links, self.source = (self.opened(name, DIRECTORY_FLAGS) for name in (b"links", b"source"))
        #: Directories in which nothing can be changed or made safe, and those in which nothing can be read either.
        self.stuck: Set[int] = set()
        self.dead: Set[int] = set()
        #: Calls that have worked, each once: what they then say is an error all the same.
        self.replies_lost = 0
        self.replace = self.changing(changes.replace)
        self.patch(switch_names, "rename", self.changing(changes.rename))
        self.patch(switch_names, "replace", self.replace)
        self.patch(switch_names, "sync_descriptor", self.syncing)
        looks = Place.is_name_of
        self.patch(Place, "is_name_of", lambda place, descriptor: self.looking(looks, place, descriptor))

    def patch(self, target: Any, name: str, instead: Callable[..., Any]) -> None:
        patched = mock.patch.object(target, name, instead)
        patched.start()
        self.addCleanup(patched.stop)

    def opened(self, name: bytes, flags: int) -> int:
        descriptor = os.open(self.path(name), flags)
        self.addCleanup(os.close, descriptor)
        return descriptor

    def changing(self, deed: Callable[[Place, Place], None]) -> Callable[[Place, Place], None]:
        def change(old: Place, new: Place) -> None:
            if new.directory in self.stuck | self.dead:
                raise OSError(errno.EROFS, "read-only")
            deed(old, new)
            if new.directory == self.links and self.replies_lost > 0:
                self.replies_lost -= 1
                self.dead.add(self.links)
                raise OSError(errno.EIO, "no answer")

        return change

    def syncing(self, descriptor: int, shown: bytes) -> None:
        if descriptor in self.stuck | self.dead:
            raise Failure("system", "Input/output error", shown, errno.EIO)
        sync_descriptor(descriptor, shown)

    def looking(self, looks: Callable[[Place, int], bool], place: Place, descriptor: int) -> bool:
        if place.directory in self.dead:
            raise OSError(errno.EIO, "Input/output error")
        return looks(place, descriptor)

    def plan(self) -> Plan:
        flags = os.O_PATH | os.O_NOFOLLOW
        next_one, link, kept = (Place(self.links, name, name) for name in (b"link.next", b"link", b"link.back"))
        back = Back(kept, self.opened(b"links/link.back", flags))
        decides = Move(self.opened(b"links/link.next", flags), next_one, link, back)
        image = self.opened(b"source/image", os.O_RDONLY)
        stale = Move(image, Place(self.source, b"image", b"image"), Place(self.source, b"image.away", b"image.away"), None)
        return Plan(b"", [Disk("job", "/disk", "target", image)], 1.0, False, [], [[decides], [stale]], 0, [], set())

    def begun(self) -> str:
        end: str = switch.begin(self.plan(), self.jobs)["end"]  # type: ignore[arg-type]
        return end

    def found(self) -> Dict[str, Any]:
        self.assertEqual(self.jobs.status, "concluded", "the guest's I/O waits")
        names: List[str] = [name for name in ("image", "image.away") if os.path.exists(os.path.join(self.path(b"source").decode(), name))]
        return {"guest": self.jobs.active, "link": os.readlink(self.path(b"links/link")).decode(), "source": names}

    def once_stuck(self, directories: Set[int]) -> None:
        """From the link's rename on."""

        def then_stuck(old: Place, new: Place) -> None:
            self.replace(old, new)
            self.stuck.update(directories)

        self.patch(switch_names, "replace", then_stuck)

    def test_all_goes_over_where_nothing_fails(self) -> None:
        self.assertEqual(self.begun(), "switched")
        self.assertEqual(self.found(), {"guest": "target", "link": "dst", "source": ["image.away"]})

    def recording(self) -> List[str]:
        """The images that are synced, and the commands."""
        events: List[str] = []
        execute = self.jobs.execute

        def noted(command: str, arguments: Details, check: Callable[[], None]) -> Any:
            events.append(command)
            return execute(command, arguments, check)

        self.patch(self.jobs, "execute", noted)
        self.patch(switch_plan, "sync_descriptor", lambda descriptor, shown: events.append("sync %s" % shown.decode()))
        return events

    def with_record(self) -> Plan:
        self.write(b"links/record", b"")
        record = self.opened(b"links/record", os.O_WRONLY | os.O_APPEND)
        measures = [Measure(self.opened(b"source/image", os.O_RDONLY), name, "", name == b"new") for name in (b"left", b"new")]
        return self.plan()._replace(records=[Record(record, b"record", measures, 0)])

    def test_the_new_image_is_synced_before_its_guest_waits_and_the_one_that_is_left_is_not(self) -> None:
        events = self.recording()
        switch.begin(self.with_record(), self.jobs)  # type: ignore[arg-type]
        self.assertEqual(events[:2], ["sync new", "job-complete"])
        self.assertNotIn("sync left", events)

    def test_a_new_image_that_cannot_be_synced_is_not_switched_to(self) -> None:
        events = self.recording()
        lost = mock.Mock(side_effect=Failure("system", "Input/output error", b"new", errno.EIO))
        self.patch(switch_plan, "sync_descriptor", lost)
        end = switch.begin(self.with_record(), self.jobs)  # type: ignore[arg-type]
        self.assertEqual((end["end"], end["why"]), ("cancelled", "Input/output error (new)"))
        self.assertNotIn("job-complete", events)
        self.assertEqual(self.found(), {"guest": "source", "link": "src", "source": ["image"]})

    def test_a_link_that_is_not_safe_leads_no_boot_to_an_image_that_goes_stale(self) -> None:
        self.once_stuck({self.links})
        self.begun()
        self.assertEqual(self.found(), {"guest": "target", "link": "dst", "source": ["image.away"]})

    def test_a_guest_whose_own_storage_fails_with_the_link_stays_where_a_boot_may_lead(self) -> None:
        self.once_stuck({self.links, self.source})
        self.assertEqual(self.begun(), "cancelled-half-way")
        self.assertEqual(self.found(), {"guest": "source", "link": "dst", "source": ["image"]})

    def test_a_rename_that_is_refused_is_not_made(self) -> None:
        self.stuck.add(self.links)
        self.begun()
        self.assertEqual(self.found(), {"guest": "source", "link": "src", "source": ["image"]})

    def test_a_rename_whose_answer_is_lost_may_have_been_made(self) -> None:
        self.replies_lost = 1
        self.begun()
        self.assertEqual(self.found(), {"guest": "target", "link": "dst", "source": ["image.away"]})

    def test_a_link_that_was_taken_back_and_is_not_safe_leads_no_boot_to_an_image_that_goes_stale(self) -> None:
        syncs: List[int] = []

        def first_fail(descriptor: int, shown: bytes) -> None:
            if descriptor == self.links:
                syncs.append(descriptor)
                raise Failure("system", "Input/output error", shown, errno.EIO)
            sync_descriptor(descriptor, shown)

        self.patch(switch_names, "sync_descriptor", first_fail)
        self.begun()
        self.assertGreater(len(syncs), 1)
        self.assertEqual(self.found(), {"guest": "target", "link": "src", "source": ["image.away"]})

    def test_a_qemu_that_does_not_list_its_disks_behind_a_command_leaves_no_job_pending(self) -> None:
        self.jobs.refuses_blocks = True
        done = switch.begin(self.plan(), self.jobs)  # type: ignore[arg-type]
        self.assertEqual((done["end"], done["why"], self.jobs.status), ("switched", None, "concluded"))

    def test_who_comes_after_a_death_takes_a_link_that_cannot_be_read_for_one_that_may_have_been_made(self) -> None:
        self.jobs.status = "pending"
        self.dead.add(self.links)
        switch.recover(self.plan(), self.jobs)  # type: ignore[arg-type]
        self.assertEqual(self.found(), {"guest": "target", "link": "src", "source": ["image.away"]})

    def test_who_comes_after_a_death_calls_off_what_was_not_decided(self) -> None:
        self.jobs.status = "pending"
        self.assertEqual(switch.recover(self.plan(), self.jobs)["end"], "cancelled")  # type: ignore[arg-type]
        self.assertEqual(self.found(), {"guest": "source", "link": "src", "source": ["image"]})

    def test_a_link_that_cannot_be_read_before_anything_was_tried_is_not_made(self) -> None:
        self.dead.add(self.links)
        self.begun()
        self.assertEqual(self.found(), {"guest": "source", "link": "src", "source": ["image"]})
