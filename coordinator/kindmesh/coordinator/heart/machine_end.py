"""The rules of how it goes on and ends: results, devices that come and go, time, cancelling. See `machine`."""

from __future__ import annotations

from typing import Final

from kindmesh.coordinator.heart import machine_hedge as second
from kindmesh.coordinator.heart.machine_job import (
    CRASHES_MAX,
    ELSEWHERE,
    GRACE_MS,
    LOSSES_MAX,
    OUTDATED,
    RECONNECT_MS,
    REFUSALS_MAX,
    RESEND_MS,
    Job,
)
from kindmesh.coordinator.heart.machine_words import (
    AckResult,
    CancelAsked,
    DeadlinePassed,
    DeviceBack,
    DeviceLost,
    DeviceRemoved,
    Ended,
    Finish,
    Instruction,
    Place,
    Restarted,
    ResultArrived,
    RetryDue,
    ScheduleRetry,
    SendCancel,
)

_ENDS: Final[dict[str, Ended]] = {"succeeded": "succeeded", "failed": "failed"}


def on_result(job: Job, event: ResultArrived, now_ms: int) -> list[Instruction]:
    """A device says how it ended; only the current attempt counts."""
    ack = AckResult(event.device, event.epoch)
    if job.second and (event.device, event.epoch) == (job.second, job.second_epoch):
        return [ack, *second.on_second_result(job, event, now_ms)]
    if not job.is_current(event.device, event.epoch):
        job.older.pop(event.device, None)
        job.note(now_ms, "late result", event.device, event.outcome)
        return [ack]
    job.note(now_ms, "result", event.device, event.code or event.outcome)
    if job.second and event.outcome != "succeeded" and not (job.cancel_by or job.overdue):
        return [ack, *second.promoted(job, now_ms, event.code or event.outcome)]
    if event.outcome == "failed" and not event.begun and event.code in ELSEWHERE:
        return [ack, *refused_to_begin(job, event, now_ms)]
    if event.outcome in ("interrupted", "cancelled") or event.code == "CANCELLED":
        return [ack, *broken_off(job, event, now_ms)]
    if event.code == "CAPABILITY_CRASHED" and may_crash_again(job):
        return [ack, *again(job, now_ms)]
    if event.code == "PERMIT_USED" and job.effectful:
        return [ack, *job.finish(now_ms, _unknown("the device has done something under this permit already"))]
    if event.outcome == "failed" and event.code == "DEADLINE_EXCEEDED":
        return [ack, *job.finish(now_ms, Finish("expired", take=True))]
    return [ack, *job.finish(now_ms, Finish(_ENDS.get(event.outcome, "uncertain"), take=True))]


def refused_to_begin(job: Job, event: ResultArrived, now_ms: int) -> list[Instruction]:
    """It was not begun and may be tried again: elsewhere, unless another copy of this attempt may still begin there."""
    job.refusals += 1
    again_ms = now_ms + max(event.retry_ms, job.backoff())
    if job.approved and event.code == "BUSY" and not (job.cancel_by or job.overdue):
        # The person said yes to this device; the permit was not used and serves until it ends.
        job.state = "placed"
        return [ScheduleRetry(again_ms)]
    if not job.movable and job.sends > 1 and event.code not in OUTDATED:
        job.state, job.permitted = "placed", False
        return [ScheduleRetry(again_ms)]
    if job.cancel_by:
        return job.finish(now_ms, _cancelled(job.cancel_by))
    if job.overdue or (event.code != "BUSY" and job.refusals >= REFUSALS_MAX):
        return job.finish(now_ms, Finish("expired" if job.overdue else "failed", take=True))
    job.avoid = event.device
    job.take("none")
    job.state = "queued"
    return [ScheduleRetry(again_ms)]


def broken_off(job: Job, event: ResultArrived, now_ms: int) -> list[Instruction]:
    """The device stopped working on it."""
    if job.cancel_by:
        return job.finish(now_ms, Finish("cancelled", take=True))
    if job.overdue:
        return job.finish(now_ms, Finish("expired", take=True))
    if job.preempted:
        job.take("none")
        job.state = "queued"
        return [Place()]
    if job.movable:
        return again(job, now_ms)
    if event.outcome != "interrupted":
        return job.finish(now_ms, Finish("cancelled", take=True))
    if event.begun:
        return job.finish(now_ms, _unknown("the device was interrupted while doing it"))
    return again(job, now_ms)


def may_crash_again(job: Job) -> bool:
    """Whether a job whose capability crashed may be done elsewhere: it is harmless, still wanted, and did not crash
    too often."""
    return job.movable and job.losses < CRASHES_MAX and not (job.cancel_by or job.overdue)


def again(job: Job, now_ms: int) -> list[Instruction]:
    """Place it anew, elsewhere if possible: it may be done again, or was not begun."""
    job.losses += 1
    if job.losses >= LOSSES_MAX:
        message = f"{job.losses} attempts ended without a result"
        return job.finish(
            now_ms, Finish("failed", False, "INTERRUPTED", message, "Look at the devices named.")
        )
    job.avoid, job.state, job.asking, job.preempted = job.device, "queued", False, False
    if job.movable:
        job.lease = "freed"
    else:
        job.take("none")
    return [Place(job.avoid)]


def on_lost(job: Job, event: DeviceLost, now_ms: int) -> list[Instruction]:
    """A device is away."""
    if job.second and event.device == job.second:
        return second.dropped(job, now_ms, "it is away")
    if job.second and event.device == job.device:
        job.note(now_ms, "lost", event.device)
        return second.promoted(job, now_ms, "the other device is away")
    if event.device != job.device or job.state == "waiting_device":
        return []
    if job.lease == "sent":
        job.note(now_ms, "lost", event.device)
        return part_from_device(job, now_ms)
    if job.lease == "chosen" and job.state == "queued":
        job.note(now_ms, "lost", event.device)
        job.take("none")
        job.avoid = event.device
        return [Place(event.device)]
    return []


def part_from_device(job: Job, now_ms: int) -> list[Instruction]:
    """The device that may be doing it is away."""
    if job.cancel_by and not job.effectful:
        return job.finish(now_ms, _cancelled(job.cancel_by))
    if job.overdue:
        return job.finish(now_ms, too_late(job))
    if job.movable and not job.cancel_by:
        return again(job, now_ms)
    job.state, job.why, job.asking = "waiting_device", "its device is away with it", False
    job.note(now_ms, "waiting", job.device, job.why)
    return []


def on_removed(job: Job, event: DeviceRemoved, now_ms: int) -> list[Instruction]:
    """A device was removed: what it has moves, where that is harmless, or ends, because nobody will hear of it."""
    job.older.pop(event.device, None)
    if job.second and event.device in (job.second, job.device):
        change = second.dropped if event.device == job.second else second.promoted
        steps = change(job, now_ms, "its device was removed")
        job.older.pop(event.device, None)
        return steps
    if event.device != job.device or job.lease == "freed":
        return []
    job.note(now_ms, "removed", event.device)
    if job.lease == "chosen":
        job.take("none")
        job.state, job.avoid = "queued", event.device
        return [Place(event.device)]
    why = "its device was removed from the mesh while it had it"
    if job.movable and not (job.cancel_by or job.overdue):
        return again(job, now_ms)
    if job.effectful:
        return job.finish(now_ms, _unknown(why))
    if job.cancel_by:
        return job.finish(now_ms, _cancelled(job.cancel_by))
    return job.finish(now_ms, Finish("failed", False, "INTERRUPTED", why, "Start it again."))


def on_back(job: Job, event: DeviceBack, now_ms: int) -> list[Instruction]:
    """A device is here (again): it gets its jobs again, and hears which of its old ones moved."""
    if event.device == job.device:
        if job.lease in ("sent", "freed") and job.state != "waiting_approval":
            return rejoin(job, now_ms)
        return []
    instructions: list[Instruction] = []
    if event.device in job.older:
        instructions.append(SendCancel(event.device, job.older.pop(event.device)))
    if job.wants_place:
        instructions.append(Place(job.avoid))
    return instructions


def rejoin(job: Job, now_ms: int) -> list[Instruction]:
    """Same attempt, sent again: a device that has it answers from its journal."""
    job.note(now_ms, "back", job.device)
    job.lease, job.state, job.leaving = "sent", "placed", False
    if not job.permitted:
        return job.ask_again()
    instructions = job.send(now_ms)
    if job.cancel_by:
        instructions.append(SendCancel(job.device, job.epoch))
    return instructions


def on_retry(job: Job, event: RetryDue, now_ms: int) -> list[Instruction]:
    """Time for the next try of whatever the job waits for."""
    if job.state == "placed" and not job.overdue:
        if job.cancel_by or job.preempted:
            return [SendCancel(job.device, job.epoch), ScheduleRetry(now_ms + RESEND_MS)]
        return job.send(now_ms) if job.permitted else job.ask_again()
    if job.state == "queued" and job.lease == "chosen":
        return job.ask_again()
    return [Place(job.avoid)] if job.wants_place else []


def on_deadline(job: Job, event: DeadlinePassed, now_ms: int) -> list[Instruction]:
    """Too late: a working device is told to stop and gets a moment to report."""
    if now_ms < job.deadline_ms:
        return []
    if job.lease == "sent" and job.state != "waiting_device" and not job.overdue:
        job.overdue = True
        job.note(now_ms, "overdue", job.device)
        late = second.dropped(job, now_ms, "it is late") if job.second else []
        return [*late, SendCancel(job.device, job.epoch), ScheduleRetry(job.deadline_ms + GRACE_MS)]
    if job.overdue and now_ms < job.deadline_ms + GRACE_MS:
        return []
    return job.finish(now_ms, too_late(job))


def too_late(job: Job) -> Finish:
    """How a job ends whose time is up."""
    if job.lease in ("sent", "freed"):
        if job.effectful:
            return _unknown("its device did not report back in time")
        return _cancelled(job.cancel_by) if job.cancel_by else _late("its device did not report back in time")
    if job.state == "waiting_approval":
        return Finish("expired", False, "NEEDS_APPROVAL", "nobody approved it in time", "Start it again.")
    if job.state == "waiting_device":
        return Finish("expired", False, "NO_DEVICE_ABLE", f"no device could do it in time: {job.why}")
    return _late(job.why or ("the reviewer did not answer" if job.gone_noted else "it waited too long"))


def on_cancel(job: Job, event: CancelAsked, now_ms: int) -> list[Instruction]:
    """Not wanted any more; what may have begun ends when its device says so."""
    job.note(now_ms, "cancel asked", b"", event.by)
    if job.lease in ("none", "chosen"):
        return job.finish(now_ms, _cancelled(event.by))
    away = job.lease == "freed" or job.state == "waiting_device"
    if away and not job.effectful:
        return job.finish(now_ms, _cancelled(event.by))
    if job.lease == "freed":
        return job.finish(now_ms, _unknown("it was cancelled while its device was away"))
    job.cancel_by = event.by
    also = second.dropped(job, now_ms, "it was cancelled") if job.second else []
    return also if away else [*also, SendCancel(job.device, job.epoch)]


def on_restarted(job: Job, event: Restarted, now_ms: int) -> list[Instruction]:
    """The machine is new, the job is not: devices get time to come back before anything moves."""
    job.note(now_ms, "restarted")
    job.permitted = event.has_permit
    if job.state == "waiting_approval":
        return [ScheduleRetry(job.deadline_ms)]
    if job.state == "placed":
        return [ScheduleRetry(now_ms + RECONNECT_MS)]
    return [Place()]


def _cancelled(by: str) -> Finish:
    return Finish("cancelled", False, "CANCELLED", f"it was cancelled by {by}")


def _late(why: str) -> Finish:
    return Finish("expired", False, "DEADLINE_EXCEEDED", f"it took longer than allowed: {why}")


def _unknown(why: str) -> Finish:
    return Finish(
        "uncertain", False, "UNCERTAIN", f"nobody can know whether it happened: {why}",
        "Look whether it happened, then decide.",
    )  # fmt: skip


__all__ = [
    "may_crash_again",
    "on_back",
    "on_cancel",
    "on_deadline",
    "on_lost",
    "on_removed",
    "on_restarted",
    "on_result",
    "on_retry",
    "part_from_device",
]  # fmt: skip
