"""What a switch says to one QEMU, and hears."""

from time import monotonic
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from worker.below_filters import below_by_graph, below_by_name
from worker.errors import Details, Failure
from worker.line import Command, Line
from worker.switch_plan import Disk, Plan

#: Once all jobs are pending, nothing is given up: a QEMU that is stopped, or waits for its disk, is waited for as long as it lives.
PATIENT_SECONDS = float("inf")


#: By their ids.
Jobs = Dict[str, Details]


class Told(NamedTuple):
    """What came of a command to several jobs."""

    #: In QEMU's words, for people.
    refused: List[str]
    #: Right after.
    jobs: Jobs
    #: Whether all disks of the switch are seen at their targets. If not, only `pivoted` tells.
    have_pivoted: bool


class Late(Exception):
    """Before the commit point: the switch is given up."""


class Conversation:
    """What the switch says to one QEMU."""

    def __init__(self, line: Line, plan: Plan) -> None:
        self.line = line
        self.disks = plan.disks
        self.filters = plan.filters

    def ask(self, command: str, arguments: Details, seconds: float) -> Any:
        return self.line.execute(command, arguments, in_time(command, seconds))

    def jobs(self, seconds: float) -> Jobs:
        return by_name(self.ask("query-jobs", {}, seconds))

    def pending(self, disks: List[Disk]) -> List[Disk]:
        return still_pending(disks, self.jobs(PATIENT_SECONDS))

    def pivoted(self) -> List[Disk]:
        """The active node decides, never a reply: job-finalize says {} although the pivot failed where a raw image was renamed before."""
        roots = roots_of(self.ask("query-block", {}, PATIENT_SECONDS))
        if self.have_pivoted(roots):
            return self.disks
        below = self._below_filters()
        return [disk for disk in self.disks if below(roots.get(disk.device, {})) == disk.target]

    def have_pivoted(self, roots: Dict[str, Details]) -> bool:
        """Whether each disk has its target as its root, without a filter in between."""
        return all(roots.get(disk.device, {}).get("node-name") == disk.target for disk in self.disks)

    def _below_filters(self) -> Callable[[Details], Optional[str]]:
        """From what a device has to the first node below that is no filter: a throttle of the guest's is one, and the node of the job."""
        nodes = self.ask("query-named-block-nodes", {"flat": True}, PATIENT_SECONDS)
        try:
            graph = self.ask("x-debug-query-block-graph", {}, PATIENT_SECONDS)
        except Failure as failure:
            if failure.name != "qmp":
                raise
            refusal = failure  # QEMU may be told to refuse what begins with x-
        else:
            return lambda root: below_by_graph(root, nodes, graph, self.filters)

        def below(root: Details) -> str:
            node = below_by_name(root, nodes, self.filters)
            if node is None:
                raise refusal
            return node

        return below

    def wait_for_pending(self, disks: List[Disk], seconds: float, seen: Optional[Jobs] = None) -> None:
        """`seen`: how the jobs are now, where that is known."""
        deadline = monotonic() + seconds
        pause = 0.0005
        jobs = self.jobs(seconds) if seen is None else seen
        while not all_are_pending(disks, jobs):
            if monotonic() > deadline:
                states = [(disk.job, status_of(disk, jobs)) for disk in disks]
                told = ["%s is %s" % (job, state) for job, state in states if state != "pending"]
                raise Late("not all jobs were pending within %g s: %s" % (seconds, ", ".join(told)))
            self.line.wait(pause)
            pause = min(pause * 2, 0.05)
            jobs = self.jobs(max(0.1, deadline - monotonic()))

    def each(self, command: str, disks: List[Disk], seconds: float) -> Told:
        """A command to the job of each disk, and what came of it, in one write: guest I/O waits for each way there and back."""
        commands: List[Command] = [(command, {"id": disk.job}) for disk in disks]
        *answers, jobs, blocks = self.line.execute_all(commands + [("query-jobs", {}), ("query-block", {})], in_time(command, seconds))
        if jobs.refused is not None:
            raise jobs.refused
        refused = [answer.refused.message for answer in answers if answer.refused is not None]
        # QEMU 7.2 refuses it as a whole where it cannot read the bitmaps of any one disk: then nothing is seen, and the switch goes on
        have_pivoted = blocks.refused is None and self.have_pivoted(roots_of(blocks.value))
        return Told(refused, by_name(jobs.value), have_pivoted)


def in_time(command: str, seconds: float) -> Callable[[], None]:
    deadline = monotonic() + seconds

    def check() -> None:
        if monotonic() > deadline:
            raise Late("no answer to %s within %g s" % (command, seconds))

    return check


def roots_of(blocks: List[Details]) -> Dict[str, Details]:
    """By their devices' paths in QEMU."""
    return {block["qdev"]: block.get("inserted", {}) for block in blocks if "qdev" in block}


def by_name(jobs: List[Details]) -> Jobs:
    return {job["id"]: job for job in jobs}


def status_of(disk: Disk, jobs: Jobs) -> Optional[str]:
    return jobs.get(disk.job, {}).get("status")


def still_pending(disks: List[Disk], jobs: Jobs) -> List[Disk]:
    return [disk for disk in disks if status_of(disk, jobs) == "pending"]


def all_are_pending(disks: List[Disk], jobs: Jobs) -> bool:
    """Late: one has ended, and none waits any more for what it would have become."""
    for disk in disks:
        if status_of(disk, jobs) in (None, "concluded", "aborting", "null"):
            error = jobs.get(disk.job, {}).get("error")
            raise Late("the job %s ended by itself%s" % (disk.job, "" if error is None else ": %s" % error))
    return still_pending(disks, jobs) == disks
