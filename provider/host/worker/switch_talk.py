"""What a switch says to one QEMU, and hears."""

from time import monotonic
from typing import Any, Callable, Dict, List, Optional

from worker.below_filters import below_by_graph, below_by_name
from worker.errors import Details, Failure
from worker.line import Line
from worker.switch_plan import Disk, Plan

#: Once all jobs are pending, nothing is given up: a QEMU that is stopped, or waits for its disk, is waited for as long as it lives.
PATIENT_SECONDS = float("inf")


class Late(Exception):
    """Before the commit point: the switch is given up."""


class Conversation:
    """What the switch says to one QEMU."""

    def __init__(self, line: Line, plan: Plan) -> None:
        self.line = line
        self.disks = plan.disks
        self.filters = plan.filters

    def ask(self, command: str, arguments: Details, seconds: float) -> Any:
        deadline = monotonic() + seconds

        def check() -> None:
            if monotonic() > deadline:
                raise Late("no answer to %s within %g s" % (command, seconds))

        return self.line.execute(command, arguments, check)

    def jobs(self, seconds: float) -> Dict[str, Details]:
        return {job["id"]: job for job in self.ask("query-jobs", {}, seconds)}

    def pending(self, disks: List[Disk]) -> List[Disk]:
        jobs = self.jobs(PATIENT_SECONDS)
        return [disk for disk in disks if jobs.get(disk.job, {}).get("status") == "pending"]

    def pivoted(self) -> List[Disk]:
        """The active node decides, never a reply: job-finalize says {} although the pivot failed where a raw image was renamed before."""
        blocks = self.ask("query-block", {}, PATIENT_SECONDS)
        roots = {block.get("qdev"): block.get("inserted", {}) for block in blocks}
        if all(roots.get(disk.device, {}).get("node-name") == disk.target for disk in self.disks):
            return self.disks
        below = self._below_filters()
        return [disk for disk in self.disks if below(roots.get(disk.device, {})) == disk.target]

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

    def wait_for_pending(self, disks: List[Disk], seconds: float) -> None:
        deadline = monotonic() + seconds
        pause = 0.0005
        while True:
            jobs = self.jobs(max(0.1, deadline - monotonic()))
            states = [jobs.get(disk.job, {}).get("status") for disk in disks]
            if all(state == "pending" for state in states):
                return
            for disk, state in zip(disks, states):
                if state in (None, "concluded", "aborting", "null"):
                    error = jobs.get(disk.job, {}).get("error")
                    raise Late("the job %s ended by itself%s" % (disk.job, "" if error is None else ": %s" % error))
            if monotonic() > deadline:
                told = ["%s is %s" % (disk.job, state) for disk, state in zip(disks, states) if state != "pending"]
                raise Late("not all jobs were pending within %g s: %s" % (seconds, ", ".join(told)))
            self.line.wait(pause)
            pause = min(pause * 2, 0.05)

    def each(self, command: str, disks: List[Disk], seconds: float) -> List[str]:
        """What QEMU refused, in its words, for people."""
        refused = []
        for disk in disks:
            try:
                self.ask(command, {"id": disk.job}, seconds)
            except Failure as failure:
                if failure.name != "qmp":
                    raise
                refused.append(failure.message)
        return refused
