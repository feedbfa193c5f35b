"""The switch: the guest's disks change their images together, and a boot finds the right ones at every instant.

Order and reasons: docs/decisions/0003 and 0008. The plan is data; this carries it out, and finishes or reverts it when somebody has died.
"""

from time import monotonic
from typing import Any, Callable, Dict, List, Optional

from worker.below_filters import below_by_graph, below_by_name
from worker.errors import Details, Failure, both, words_of
from worker.image_lock import HeldByOther, hold_image, release_images
from worker.line import Line
from worker.switch_plan import Disk, Plan, apply, complete, is_committed, is_known_committed, revert

#: Once all jobs are pending, nothing is given up: a QEMU that is stopped, or waits for its disk, is waited for as long as it lives.
PATIENT_SECONDS = float("inf")

#: Before each try of job-finalize.
FINALIZE_PAUSES_SECONDS = (0.0, 0.05, 0.5)


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


def hold_sources(plan: Plan) -> None:
    """From now on no QEMU can open a source. Never a target: QEMU 7.2 aborts at job-finalize of a raw one."""
    for disk in plan.disks if plan.holds_sources else []:
        try:
            hold_image(disk.source)
        except HeldByOther:
            raise Late("another process has the image of %s open for writing" % disk.device) from None


def release_sources(plan: Plan) -> None:
    """Before any job-cancel: QEMU 7.2 aborts on a raw source that is locked."""
    if plan.holds_sources:
        release_images(disk.source for disk in plan.disks)


def begin(plan: Plan, line: Line) -> Details:
    """From jobs that are ready to the end."""
    talk = Conversation(line, plan)
    started = monotonic()
    try:
        refused = talk.each("job-complete", plan.disks, plan.pending_seconds)
        if refused:
            raise Late(refused[0])
        talk.wait_for_pending(plan.disks, plan.pending_seconds)
        hold_sources(plan)
        talk.wait_for_pending(plan.disks, plan.pending_seconds)
        complete(plan.records)
    except Exception as reason:  # whatever it is: jobs that are pending keep the guest's I/O waiting
        if is_end_of_monitor(reason):
            raise
        return cancel(plan, talk, words_of(reason))
    return dict(carry_on(plan, talk), pauseSeconds=monotonic() - started)


def carry_on(plan: Plan, talk: Conversation) -> Details:
    """All jobs are pending. What decides must be durable before any job is finalized; a name that fails later is only said."""
    decided = plan.commit + 1
    for stage in plan.stages[:decided]:
        try:
            apply(stage, plan.made)
        except Exception as reason:
            return cancel(plan, talk, words_of(reason))
    return finish(plan, talk, None)


def finish(plan: Plan, talk: Conversation, trouble: Optional[str]) -> Details:
    """From the commit point on. Also where that is not durable: then no boot may find an image that goes stale."""
    decided = plan.commit + 1
    for stage in plan.stages[decided:]:
        try:
            apply(stage, plan.made)
        except Exception as reason:
            trouble = both(trouble, words_of(reason))
    return finalize(plan, talk, trouble)


def is_end_of_monitor(reason: Exception) -> bool:
    return isinstance(reason, Failure) and reason.name == "monitor-closed"


def finalize(plan: Plan, talk: Conversation, trouble: Optional[str]) -> Details:
    refused = let_go(plan, talk)
    pivoted = talk.pivoted()
    astray = [disk.job for disk in plan.disks if disk not in pivoted]
    release_sources(plan)
    return end("astray" if astray else "switched", trouble or (refused[0] if refused else None), astray)


def let_go(plan: Plan, talk: Conversation) -> List[str]:
    """No job stays pending, as its guest's I/O waits: one that QEMU will not finalize is cancelled, and its disk does not pivot."""
    refused: List[str] = []
    for pause in FINALIZE_PAUSES_SECONDS:
        pending = talk.pending(plan.disks)
        if not pending:
            return refused
        talk.line.wait(pause)
        refused = talk.each("job-finalize", pending, PATIENT_SECONDS)
    release_sources(plan)
    talk.each("job-cancel", talk.pending(plan.disks), PATIENT_SECONDS)
    return refused


def cancel(plan: Plan, talk: Conversation, why: str) -> Details:
    """Only while no disk has pivoted; afterwards there is no way back."""
    if talk.pivoted():
        return carry_on_where_some_pivoted(plan, talk, why)
    how = "cancelled"
    try:
        for stage in reversed(plan.stages):
            revert(stage, plan.made)
    except (OSError, Failure) as reason:
        why = both(why, words_of(reason))
        if is_known_committed(plan):
            return finish(plan, talk, why)
        how = "cancelled-half-way"
    release_sources(plan)
    talk.each("job-cancel", plan.disks, PATIENT_SECONDS)
    return end(how, why, [])


def carry_on_where_some_pivoted(plan: Plan, talk: Conversation, why: str) -> Details:
    """By a job-finalize of somebody before us."""
    try:
        complete(plan.records)
        for stage in plan.stages:
            apply(stage, plan.made)
    except (OSError, Failure) as reason:
        why = both(why, words_of(reason))
    return finalize(plan, talk, why)


def recover(plan: Plan, line: Optional[Line]) -> Details:
    """After a death in the middle. `line` is None where QEMU's process is gone: then the names alone are put right."""
    if line is None:
        return recover_names(plan)
    talk = Conversation(line, plan)
    if not is_known_committed(plan) and not talk.pivoted():
        return cancel(plan, talk, "it was cut before its commit point")
    try:
        hold_sources(plan)
    except Late:
        pass  # who has it open came before us; the names are committed, and the active nodes decide what is said
    return carry_on(plan, talk)


def recover_names(plan: Plan) -> Details:
    """A name that cannot be given is only said: what decides does not change by that, and the next run does the rest."""
    how, each, stages = "reverted-without-qemu", revert, plan.stages[::-1]
    if is_committed(plan):
        how, each, stages = "finished-without-qemu", apply, plan.stages
    try:
        for stage in stages:
            each(stage, plan.made)
    except (OSError, Failure) as reason:
        return end(how, words_of(reason), [])
    return end(how, None, [])


def end(how: str, why: Optional[str], astray: List[str]) -> Details:
    return {"end": how, "why": why, "astray": astray}
