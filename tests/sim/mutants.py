"""Planted bugs: each takes away one of the things that keep jobs safe. Only ever in here, and undone afterwards."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from kindmesh.coordinator.brain.medulla.beliefs import Beliefs
from kindmesh.coordinator.heart.dispatch import Dispatch
from kindmesh.coordinator.heart.entry import Acknowledged, Entry
from kindmesh.coordinator.heart.runs import run_work
from kindmesh.coordinator.heart.schedules import starter
from kindmesh.coordinator.heart.schedules.service import Schedules
from kindmesh.mesh.stream_end import StreamHandle
from kindmesh.node import intake
from kindmesh.node.journal import NodeJournal
from kindmesh.node.machine import JobMachine

Plant = Callable[[pytest.MonkeyPatch], None]


def fencing_off(patch: pytest.MonkeyPatch) -> None:
    """A device takes any attempt of a job, also one from before the one that it did."""
    real = JobMachine.relation

    def relation(self: JobMachine, job_id: bytes, epoch: int, known: Any) -> Any:
        found = real(self, job_id, epoch, known)
        return "new" if found == "stale" and self.find(job_id) is None else found

    patch.setattr(JobMachine, "relation", relation)


def result_table_off(patch: pytest.MonkeyPatch) -> None:
    """A device does not look up what it has done."""
    patch.setattr(NodeJournal, "find", lambda self, job_id: None)


def acknowledged_before_commit(patch: pytest.MonkeyPatch) -> None:
    """A job is promised before it is on the disk."""
    real = Dispatch.begin

    def begin(self: Dispatch, entry: Entry, acknowledged: Acknowledged) -> None:
        real(self, entry, lambda error: None)
        acknowledged(None)

    patch.setattr(Dispatch, "begin", begin)


def schedule_fires_twice(patch: pytest.MonkeyPatch) -> None:
    """A schedule starts what is due twice, and under keys that have nothing to do with the instant."""
    numbers = itertools.count()
    real = Schedules._start

    def start(self: Schedules, held: Any, due_ms: int) -> None:
        real(self, held, due_ms)
        real(self, held, due_ms)

    patch.setattr(starter, "key_of", lambda schedule, due_ms: f"{schedule.name}-{next(numbers)}")
    patch.setattr(Schedules, "_start", start)


def permit_check_off(patch: pytest.MonkeyPatch) -> None:
    """A device looks at the permit's signature, and not at what it is for."""
    patch.setattr(intake, "check_job", lambda *given: None)


def signature_check_off(patch: pytest.MonkeyPatch) -> None:
    """A device reads a permit without checking who signed it."""
    from kindmesh.protocol.codec import decode
    from kindmesh.protocol.errors import PermitMissing
    from kindmesh.protocol.permit import Permit

    def open_job_permit(job: Any, anchors: Any) -> Permit:
        if job.permit is None:
            raise PermitMissing("none")
        return decode(Permit, job.permit.payload)

    patch.setattr(intake, "open_job_permit", open_job_permit)


def revocation_ignored(patch: pytest.MonkeyPatch) -> None:
    """Medulla takes the owner's word that a device is removed, says yes, and removes nobody."""
    patch.setattr(Beliefs, "leaving", lambda self, subject: ())


def run_steps_without_keys(patch: pytest.MonkeyPatch) -> None:
    """A step of a run is asked for under another key each time, so a restart does not find what it had begun."""
    numbers = itertools.count()
    patch.setattr(run_work, "work_key", lambda run_id, path, attempt: f"step-{next(numbers)}")


def stream_loses_a_piece(patch: pytest.MonkeyPatch) -> None:
    """The fifth piece that anybody reads is thrown away."""
    real, numbers = StreamHandle.read, itertools.count(1)

    async def read(self: StreamHandle) -> Any:
        found = await real(self)
        return await real(self) if next(numbers) == 5 else found

    patch.setattr(StreamHandle, "read", read)


__all__ = [
    "Plant", "acknowledged_before_commit", "fencing_off", "permit_check_off", "result_table_off", "revocation_ignored",
    "run_steps_without_keys", "schedule_fires_twice", "signature_check_off",
    "stream_loses_a_piece",
]  # fmt: skip
