"""The rules from submitted to running: choosing a device, asking Medulla, sending. See `machine`."""

from __future__ import annotations

from kindmesh.coordinator.heart import machine_hedge as second
from kindmesh.coordinator.heart.machine_end import part_from_device
from kindmesh.coordinator.heart.machine_job import LINK_MS, RECHECK_MS, REVIEWER_MS, Job
from kindmesh.coordinator.heart.machine_words import (
    Accepted,
    ApprovalNeeded,
    AskPermit,
    Finish,
    Instruction,
    NoCandidate,
    Permitted,
    Place,
    Placed,
    Refused,
    ReviewerGone,
    Running,
    ScheduleHedge,
    ScheduleRetry,
    SendCancel,
    SendFailed,
    Submitted,
)


def on_submitted(job: Job, event: Submitted, now_ms: int) -> list[Instruction]:
    """It begins by looking for a device."""
    job.note(now_ms, "submitted")
    return [Place()]


def on_placed(job: Job, event: Placed, now_ms: int) -> list[Instruction]:
    """A device was chosen: a new attempt, for which Medulla is asked."""
    if not job.wants_place:
        raise job.invalid(event)
    if job.lease == "freed" and event.device != job.device:
        job.older[job.device] = job.epoch
    stopped: list[Instruction] = []
    if job.leaving and event.device != job.device:
        stopped.append(SendCancel(job.device, job.epoch))
    moved = job.epoch > 0 and job.sends > 0 and event.device != job.device
    job.take("chosen", event.device)
    job.top += 1
    job.epoch = job.top
    job.base = job.epoch
    job.state, job.asking, job.why = "queued", True, ""
    job.note(now_ms, "moved" if moved else "placed", event.device, event.why)
    return [*stopped, AskPermit(event.device, job.epoch)]


def on_no_candidate(job: Job, event: NoCandidate, now_ms: int) -> list[Instruction]:
    """It waits: for a place to become free, or for a device that can."""
    if not job.wants_place:
        raise job.invalid(event)
    job.state = "queued" if event.busy else "waiting_device"
    if event.why != job.why:
        job.why = event.why
        job.note(now_ms, "waiting", b"", event.why)
    return [ScheduleRetry(now_ms + RECHECK_MS)]


def on_permitted(job: Job, event: Permitted, now_ms: int) -> list[Instruction]:
    """Off it goes."""
    if event.epoch == job.second_epoch:
        return second.permitted(job, event, now_ms)
    if not job.answers(event.epoch):
        return []
    if job.state == "waiting_approval":
        job.approved = True
        if job.budget_ms:
            job.deadline_ms = now_ms + job.budget_ms
    job.note(now_ms, "permitted", job.device, (event.permit_id, event.policy_version, event.isolation))
    job.asking, job.permitted = False, True
    sending = job.send(now_ms)
    if job.may_hedge and not job.approved:
        sending.append(ScheduleHedge(now_ms + job.hedge_ms))
    return sending


def on_approval_needed(job: Job, event: ApprovalNeeded, now_ms: int) -> list[Instruction]:
    """A person is asked; whoever set no deadline waits as long as the question does."""
    if event.epoch == job.second_epoch:
        return second.dropped(job, now_ms, "it needs a person's yes")
    if not job.answers(event.epoch):
        return []
    job.state = "waiting_approval"
    job.deadline_ms = event.until_ms if job.budget_ms else min(job.deadline_ms, event.until_ms)
    job.note(now_ms, "approval needed", job.device)
    return [ScheduleRetry(job.deadline_ms)]


def on_refused(job: Job, event: Refused, now_ms: int) -> list[Instruction]:
    """It cannot be done; if it may have begun before, its device still gets its time to report."""
    if event.epoch == job.second_epoch:
        return second.dropped(job, now_ms, event.code)
    if event.epoch != job.epoch:
        return []
    if job.sends > 1:
        job.asking = False
        if job.state == "waiting_approval":
            job.state = "placed"
        if event.message != job.why:
            job.why = event.message
            job.note(now_ms, "refused", job.device, event.code)
        return [ScheduleRetry(now_ms + RECHECK_MS)]
    return job.finish(now_ms, Finish("failed", False, event.code, event.message, event.hint))


def on_reviewer_gone(job: Job, event: ReviewerGone, now_ms: int) -> list[Instruction]:
    """Without Medulla nothing is sent: ask again soon."""
    if event.epoch == job.second_epoch:
        return second.dropped(job, now_ms, "the reviewer is restarting")
    if not job.answers(event.epoch):
        return []
    job.asking = False
    if not job.gone_noted:
        job.gone_noted = True
        job.note(now_ms, "waiting", b"", "the reviewer is restarting")
    return [ScheduleRetry(now_ms + REVIEWER_MS)]


def on_send_failed(job: Job, event: SendFailed, now_ms: int) -> list[Instruction]:
    """The message did not leave; if an earlier one did, the device may have the job."""
    if event.epoch == job.second_epoch:
        job.second_sent = False
        return second.dropped(job, now_ms, event.why)
    if job.second:
        return second.promoted(job, now_ms, event.why) if event.epoch == job.epoch else []
    if event.epoch != job.epoch or job.state != "placed":
        return []
    job.note(now_ms, "not sent", job.device, event.why)
    if job.sends == 1:
        job.avoid = job.device
        job.take("none")
        job.state = "queued"
        return [ScheduleRetry(now_ms + LINK_MS)]
    return part_from_device(job, now_ms)


def on_accepted(job: Job, event: Accepted, now_ms: int) -> list[Instruction]:
    """The device has it."""
    if job.is_current(event.device, event.epoch):
        job.state = "accepted"
        job.note(now_ms, "accepted", event.device)
    return []


def on_running(job: Job, event: Running, now_ms: int) -> list[Instruction]:
    """The device works on it."""
    if job.is_current(event.device, event.epoch):
        job.state = "running"
        job.note(now_ms, "running", event.device)
    return []


__all__ = [
    "on_accepted", "on_approval_needed", "on_no_candidate", "on_permitted", "on_placed", "on_refused",
    "on_reviewer_gone", "on_running", "on_send_failed", "on_submitted",
]  # fmt: skip
