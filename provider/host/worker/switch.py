"""The switch: the guest's disks change their images together, and a boot finds the right ones at every instant.

Order and reasons: docs/decisions/0003 and 0008. The plan is data; this carries it out, and finishes or reverts it when somebody has died.
"""

from time import monotonic
from typing import List, Optional, Tuple

from worker.errors import Details, Failure, both, words_of
from worker.image_lock import hold_images, release_images
from worker.line import Line
from worker.switch_names import apply, is_committed, is_committed_or_unreadable, is_perhaps_committed, revert
from worker.switch_plan import Disk, Move, Plan, complete, sync_images
from worker.switch_talk import PATIENT_SECONDS, Conversation, Late, still_pending

#: Before each try of job-finalize.
FINALIZE_PAUSES_SECONDS = (0.0, 0.05, 0.5)


def hold_sources(plan: Plan) -> None:
    """From now on no QEMU can open a source. Never a target: QEMU 7.2 aborts at job-finalize of a raw one."""
    others = hold_images(sources_of(plan))
    if others:
        raise Late("%s: %s" % others[0])


def sources_of(plan: Plan) -> List[Tuple[str, int]]:
    return [(disk.device, disk.source) for disk in plan.disks] if plan.holds_sources else []


def release_sources(plan: Plan) -> None:
    """Before any job-cancel: QEMU 7.2 aborts on a raw source that is locked."""
    if plan.holds_sources:
        release_images(disk.source for disk in plan.disks)


def begin(plan: Plan, line: Line) -> Details:
    """From jobs that are ready to the end."""
    talk = Conversation(line, plan)
    started = monotonic()
    try:
        sync_images(plan.records)
        started = monotonic()
        told = talk.each("job-complete", plan.disks, plan.pending_seconds)
        if told.refused:
            raise Late(told.refused[0])
        talk.wait_for_pending(plan.disks, plan.pending_seconds, told.jobs)
        hold_sources(plan)
        talk.wait_for_pending(plan.disks, plan.pending_seconds)
        complete(plan.records)
    except Exception as reason:  # whatever it is: jobs that are pending keep the guest's I/O waiting
        if is_end_of_monitor(reason):
            raise
        return cancel(plan, talk, words_of(reason))
    return dict(carry_on(plan, talk, plan.disks), pauseSeconds=monotonic() - started)


def carry_on(plan: Plan, talk: Conversation, pending: List[Disk]) -> Details:
    """What decides must be durable before any job is finalized; a name that fails later is only said."""
    for stage in plan.stages[:plan.commit + 1]:
        try:
            apply(stage, plan.tried)
        except Exception as reason:
            return cancel(plan, talk, words_of(reason))
    return finalize(plan, talk, pending, apply_each(plan, plan.stages[plan.commit + 1:]))


def apply_each(plan: Plan, stages: List[List[Move]]) -> Optional[str]:
    """One that fails keeps none of the others from its name. Why some have failed, each reason once."""
    reasons: List[str] = []
    for stage in stages:
        if not is_applied(plan, stage, reasons):
            for move in stage:
                is_applied(plan, [move], reasons)
    return "; ".join(reasons) if reasons else None


def is_applied(plan: Plan, moves: List[Move], reasons: List[str]) -> bool:
    try:
        apply(moves, plan.tried)
        return True
    except Exception as reason:
        if words_of(reason) not in reasons:
            reasons.append(words_of(reason))
        return False


def finish_undecided(plan: Plan, talk: Conversation, why: str) -> Details:
    """What decides may lead a boot to either image, and nobody can make it safe or take it back.

    So the image that the guest leaves loses its name first: then a boot finds the right one or none. Where that fails, too, its storage
    takes no writes any more, or somebody else has its other name: the guest stays on it.
    """
    trouble = apply_each(plan, plan.stages[plan.commit + 1:])
    if trouble is None:
        return finalize(plan, talk, talk.pending(plan.disks), why)
    for stage in reversed(plan.stages[plan.commit + 1:]):
        try:
            revert(stage, plan.tried)
        except (OSError, Failure) as reason:
            trouble = both(trouble, words_of(reason))
    return let_stay(plan, talk, both(why, trouble))


def let_stay(plan: Plan, talk: Conversation, why: str, how: str = "cancelled-half-way") -> Details:
    release_sources(plan)
    talk.each("job-cancel", plan.disks, PATIENT_SECONDS)
    return end(how, why, [])


def is_end_of_monitor(reason: Exception) -> bool:
    return isinstance(reason, Failure) and reason.name == "monitor-closed"


def finalize(plan: Plan, talk: Conversation, pending: List[Disk], trouble: Optional[str]) -> Details:
    refused, have_pivoted = let_go(plan, talk, pending)
    pivoted = plan.disks if have_pivoted else talk.pivoted()
    astray = [disk.job for disk in plan.disks if disk not in pivoted]
    release_sources(plan)
    if not astray:
        return end("switched", trouble, [])
    return end("astray", trouble or (refused[0] if refused else None), astray)


def let_go(plan: Plan, talk: Conversation, pending: List[Disk]) -> Tuple[List[str], bool]:
    """No job stays pending, as its guest's I/O waits: one that QEMU will not finalize is cancelled, and its disk does not pivot.

    What QEMU refused, and whether all disks are seen to have pivoted.
    """
    refused: List[str] = []
    for pause in FINALIZE_PAUSES_SECONDS:
        if not pending:
            return refused, False
        talk.line.wait(pause)
        told = talk.each("job-finalize", pending, PATIENT_SECONDS)
        refused = told.refused
        pending = still_pending(pending, told.jobs)
        if told.have_pivoted and not pending:
            return refused, True
    release_sources(plan)
    talk.each("job-cancel", pending, PATIENT_SECONDS)
    return refused, False


def cancel(plan: Plan, talk: Conversation, why: str) -> Details:
    """Only while no disk has pivoted; afterwards there is no way back."""
    if talk.pivoted():
        return carry_on_where_some_pivoted(plan, talk, why)
    try:
        for stage in reversed(plan.stages):
            revert(stage, plan.tried)
    except (OSError, Failure) as reason:
        why = both(why, words_of(reason))
        if is_perhaps_committed(plan):
            return finish_undecided(plan, talk, why)
        return let_stay(plan, talk, why)
    return let_stay(plan, talk, why, "cancelled")


def carry_on_where_some_pivoted(plan: Plan, talk: Conversation, why: str) -> Details:
    """By a job-finalize of somebody before us."""
    try:
        complete(plan.records)
    except (OSError, Failure) as reason:
        why = both(why, words_of(reason))
    trouble = apply_each(plan, plan.stages)
    return finalize(plan, talk, talk.pending(plan.disks), why if trouble is None else both(why, trouble))


def recover(plan: Plan, line: Optional[Line]) -> Details:
    """After a death in the middle. `line` is None where QEMU's process is gone: then the names alone are put right."""
    if line is None:
        return recover_names(plan)
    talk = Conversation(line, plan)
    plan.tried.update(move for stage in plan.stages for move in stage)  # by whoever has died
    if not is_committed_or_unreadable(plan):
        return cancel(plan, talk, "it was cut before its commit point")
    hold_images(sources_of(plan))  # who has one open came before us; the names are committed, and the active nodes decide what is said
    return carry_on(plan, talk, talk.pending(plan.disks))


def recover_names(plan: Plan) -> Details:
    """A name that cannot be given is only said: what decides does not change by that, and the next run does the rest."""
    how, each, stages = "reverted-without-qemu", revert, plan.stages[::-1]
    if is_committed(plan):
        how, each, stages = "finished-without-qemu", apply, plan.stages
    try:
        for stage in stages:
            each(stage)
    except (OSError, Failure) as reason:
        return end(how, words_of(reason), [])
    return end(how, None, [])


def end(how: str, why: Optional[str], astray: List[str]) -> Details:
    return {"end": how, "why": why, "astray": astray}
