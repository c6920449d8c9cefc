"""The rules of giving a place up: for something more urgent, and before a device is switched off. See `machine`.

Only what may be done again gives up a place that it has begun in, and neither counts as a loss: nothing failed. Making
room waits until the device says that it stopped. Leaving a device that is switched off does not wait: the job goes on
there until another device has it, and the first result counts.
"""

from __future__ import annotations

from kindmesh.coordinator.heart.machine_job import RESEND_MS, Job
from kindmesh.coordinator.heart.machine_words import (
    DeviceDrains,
    Instruction,
    Place,
    Preempted,
    ScheduleRetry,
    SendCancel,
)


def on_preempted(job: Job, event: Preempted, now_ms: int) -> list[Instruction]:
    """Its device is told to stop; when it has, the job waits for another place."""
    if job.second or not job.may_make_room:
        return []
    job.preempted = True
    job.note(now_ms, "makes room", job.device, event.by)
    return [SendCancel(job.device, job.epoch), ScheduleRetry(now_ms + RESEND_MS)]


def on_drains(job: Job, event: DeviceDrains, now_ms: int) -> list[Instruction]:
    """What was not sent yet goes elsewhere; what runs there moves when it had its time, if it may."""
    if event.device != job.device or job.second:
        # Of two attempts one is elsewhere already.
        return []
    if job.lease == "chosen" and job.state == "queued":
        job.note(now_ms, "drained", event.device)
        job.take("none")
        job.avoid = event.device
        return [Place(event.device)]
    if not (event.move and job.may_make_room):
        return []
    job.note(now_ms, "drained", event.device)
    job.state, job.lease, job.avoid, job.leaving, job.asking = "queued", "freed", event.device, True, False
    return [Place(event.device)]


__all__ = ["on_drains", "on_preempted"]
