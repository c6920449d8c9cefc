"""The rules of a second attempt beside the first: for urgent jobs that may be done again. See `machine`.

    placed, accepted, running --HedgeDue--> the same, and another device is looked for, once
      SecondPlaced --Permitted--> sent there, too, under a higher epoch and a permit of its own

The first success counts, and the other device is told to stop; its result is acknowledged and changes nothing. When the
first attempt fails, is lost or refused, the second takes its place; when the second does, it is dropped. A second
attempt never asks a person, and is not kept over a restart: the journal has its epoch, so no later attempt is taken for
it.
"""

from __future__ import annotations

from kindmesh.coordinator.heart.machine_job import Job
from kindmesh.coordinator.heart.machine_words import (
    AskPermit,
    Finish,
    HedgeDue,
    Instruction,
    Permitted,
    PlaceSecond,
    ResultArrived,
    ScheduleRetry,
    SecondPlaced,
    SendCancel,
    SendJob,
)


def on_hedge_due(job: Job, event: HedgeDue, now_ms: int) -> list[Instruction]:
    """It takes long: another device may be faster."""
    if job.second or job.approved or not (job.may_hedge and job.may_make_room):
        return []
    job.hedge_ms = -1
    return [PlaceSecond(job.device)]


def on_second_placed(job: Job, event: SecondPlaced, now_ms: int) -> list[Instruction]:
    """Another device was found."""
    if job.second or event.device == job.device or not job.may_make_room:
        return []
    job.top += 1
    job.second, job.second_epoch, job.second_asking, job.second_sent = event.device, job.top, True, False
    job.note(now_ms, "second", event.device, event.why)
    return [AskPermit(event.device, job.top)]


def permitted(job: Job, event: Permitted, now_ms: int) -> list[Instruction]:
    """The second attempt may be sent."""
    if not job.second_asking:
        return []
    job.note(now_ms, "permitted", job.second, (event.permit_id, event.policy_version, event.isolation))
    job.second_asking, job.second_sent = False, True
    return [SendJob(job.second, job.second_epoch)]


def dropped(job: Job, now_ms: int, why: str) -> list[Instruction]:
    """No second attempt any more; if it may have begun, it is told to stop."""
    device, epoch, sent = job.second, job.second_epoch, job.second_sent
    job.forget_second()
    job.note(now_ms, "second dropped", device, why)
    if not sent:
        return []
    job.older[device] = epoch
    return [SendCancel(device, epoch)]


def promoted(job: Job, now_ms: int, why: str) -> list[Instruction]:
    """The first attempt is over without success: the second is the one that counts now."""
    job.older[job.device] = job.epoch
    device, epoch, asking, sent = job.second, job.second_epoch, job.second_asking, job.second_sent
    job.forget_second()
    job.take("sent" if sent else "chosen", device)
    job.epoch = job.base = epoch
    job.asking, job.permitted, job.sends = asking, sent, 1 if sent else 0
    job.state = "placed" if sent else "queued"
    job.note(now_ms, "second counts", device, why)
    return [ScheduleRetry(now_ms + job.resend_ms())]


def on_second_result(job: Job, event: ResultArrived, now_ms: int) -> list[Instruction]:
    """The second device says how it ended: a success is the job's, anything else leaves it to the first."""
    if event.outcome != "succeeded":
        job.second_sent = False
        return dropped(job, now_ms, event.code or event.outcome)
    job.note(now_ms, "result", event.device, event.outcome)
    slower, epoch = job.device, job.epoch
    promoted(job, now_ms, "it was first")
    return [SendCancel(slower, epoch), *job.finish(now_ms, Finish("succeeded", take=True))]


__all__ = ["dropped", "on_hedge_due", "on_second_placed", "on_second_result", "permitted", "promoted"]
