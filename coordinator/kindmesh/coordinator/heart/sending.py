"""What goes to devices: jobs, and the wish that one ends. Nothing is sent before what it depends on is on the disk.

`hold` is called for each write that has to be safe first (the job itself, the lease it is sent under, the answer to a
question), `release` when that write is. What the machine wants sent meanwhile is kept; when nothing is held any more,
the newest order of each attempt goes out, if that attempt still stands. A send that fails is told to the machine, which
decides what then.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from kindmesh.coordinator.heart.disk import Disk
from kindmesh.coordinator.heart.entry import Entry
from kindmesh.coordinator.heart.machine_words import Event, Refused, SendCancel, SendFailed, SendJob
from kindmesh.mesh.clock import Clock
from kindmesh.mesh.endpoint import Endpoint
from kindmesh.node.intake import FULL
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.errors import FrameTooLarge, KindmeshError
from kindmesh.protocol.messages import Job, JobCancel, MessageType
from kindmesh.protocol.permit_chain import parent_ext

log = logging.getLogger("kindmesh.coordinator.heart")

_FULL_EXT: Final = {FULL: encode_value(True)}


class Sender:
    """See the module; `tell` takes an event to a job's machine."""

    def __init__(
        self, *, endpoint: Endpoint, disk: Disk, clock: Clock, tell: Callable[[Entry, Event], None]
    ) -> None:
        self._endpoint = endpoint
        self._disk = disk
        self._clock = clock
        self._tell = tell

    def hold(self, entry: Entry) -> None:
        """Send nothing of this job until `release` was called once more."""
        entry.unsafe += 1

    def release_when_saved(self, entry: Entry) -> None:
        """Write how the job stands, and `release` it when that is safe."""
        self._disk.save_first(entry, partial(self.release, entry))

    def release(self, entry: Entry) -> None:
        """One of the writes that this job was held for is safe."""
        entry.unsafe -= 1
        if entry.unsafe or not entry.held:
            return
        held, entry.held = entry.held, []
        machine = entry.machine
        for epoch in {machine.epoch, machine.second_epoch}:
            last = next((wish for wish in reversed(held) if wish.epoch == epoch), None)
            if last is not None and not machine.ended and machine.lease == "sent":
                self._send(entry, last)

    def send_when_safe(self, entry: Entry, wish: SendJob, now_ms: int) -> None:
        """Send an attempt, now or when it is not held any more."""
        if entry.unsafe:
            entry.held.append(wish)
        else:
            self._send(entry, wish)

    def _send(self, entry: Entry, wish: SendJob) -> None:
        facts, request = entry.facts, entry.request
        is_second = wish.epoch == entry.machine.second_epoch
        permit = entry.second_permit if is_second else entry.permit
        ext = _FULL_EXT if facts.full else {}
        if request.parent is not None:
            ext = {**ext, **parent_ext(request.parent)}
        job = Job(
            facts.job_id, facts.run_id, facts.step, wish.epoch, facts.operation, request.args,
            entry.machine.deadline_ms, facts.priority, permit, request.sources, ext,
        )  # fmt: skip
        if not is_second:
            entry.sent_at = self._clock.monotonic()
        try:
            self._endpoint.post(wish.device, MessageType.JOB, job)
        except FrameTooLarge as error:
            self._tell(entry, Refused(wish.epoch, error.code, error.message, "Send less, or a file."))
        except KindmeshError as error:
            self._tell(entry, SendFailed(wish.epoch, error.message))

    def cancel(self, entry: Entry, wish: SendCancel, now_ms: int) -> None:
        """Ask a device to end an attempt; the machine does not rely on it."""
        try:
            self._endpoint.post(
                wish.device, MessageType.JOB_CANCEL, JobCancel(entry.facts.job_id, wish.epoch)
            )
        except KindmeshError as error:
            log.info("cancel not sent", extra={"code": error.code, "job": entry.facts.job_id.hex()})


__all__ = ["Sender"]
