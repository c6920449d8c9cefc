"""How a firing gets something done: a job of the Heart for one operation (for plans see `plan_starter`).

`Starter` is all that schedules know of it. The key makes starting twice the same as once, so a start whose answer was
lost to `kill -9` is simply made again. What is started acts for whoever made the schedule: Medulla judges it as any
job.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from kindmesh.coordinator.heart.heart import Heart
from kindmesh.coordinator.heart.schedules.words import Schedule
from kindmesh.coordinator.heart.wishes import DEADLINE_MAX_MS, SLACK_MS, Wish
from kindmesh.node.holding import artifact_id
from kindmesh.protocol.codec import decode_value
from kindmesh.protocol.errors import (
    Busy,
    JobError,
    KindmeshError,
    NotRunning,
    StoreConflict,
    StoreError,
    TransportError,
    UnknownJob,
    UnknownOperation,
)
from kindmesh.protocol.limits import ARGUMENTS_MAX
from kindmesh.protocol.manifest import artifacts_in
from kindmesh.protocol.messages.jobs import ArtifactInfo

Holder = Callable[[bytes], ArtifactInfo | None]
"""What is held on this machine of a file, by its hash."""


class Starter(Protocol):
    """See the module."""

    async def start(self, schedule: Schedule, due_ms: int, patience_ms: int) -> bytes:
        """Have it done, within `patience_ms` or as long as it takes by itself; returns an id (16 bytes) when that is on
        the disk. The same firing gives the same id.

        Raises:
            KindmeshError: why not; `may_pass` says whether another try could go better.
        """

    async def ended(self, schedule: Schedule, ref: bytes) -> str:
        """Wait for the end, however it ends: `succeeded`, `failed`, ...; `forgotten` if nobody knows it any more."""

    def problem(self, schedule: Schedule, ref: bytes) -> str:
        """Why it did not succeed, for people; empty if there is nothing to say."""


def key_of(schedule: Schedule, due_ms: int) -> str:
    """The idempotency key of a firing: schedule and due instant."""
    return f"schedule/{schedule.schedule_id.hex()}/{due_ms}"


def may_pass(error: KindmeshError) -> bool:
    """Whether a start that was refused so may go better soon."""
    if isinstance(error, StoreConflict):
        return False
    return isinstance(error, (Busy, JobError, NotRunning, StoreError, TransportError, UnknownOperation))


class JobStarter:
    """One operation, as a job of the Heart. `held` finds files that lie on this machine."""

    def __init__(self, heart: Heart, held: Holder, now_ms: Callable[[], int]) -> None:
        """`now_ms` is the mesh's time, which deadlines are in."""
        self._heart = heart
        self._now_ms = now_ms
        self._held = held

    async def start(self, schedule: Schedule, due_ms: int, patience_ms: int) -> bytes:
        """See `Starter`. The job waits for a device as long as the patience lasts."""
        action = schedule.action
        args = decode_value(action.args, limit=ARGUMENTS_MAX)
        seats = self._heart.devices.seats(action.operation)
        budget_ms = max(seat.operation.limits.timeout_ms for seat in seats) + SLACK_MS
        wish = Wish(
            operation=action.operation,
            args=args,
            target=action.target,
            priority=schedule.priority,
            deadline_ms=self._now_ms() + min(max(budget_ms, patience_ms), DEADLINE_MAX_MS),
            key=key_of(schedule, due_ms),
            sources=self._sources(schedule, args),
            principal=schedule.maker,
            purpose=schedule.purpose,
        )
        return await self._heart.submit(wish)

    def _sources(self, schedule: Schedule, args: dict[str, object]) -> tuple[ArtifactInfo, ...]:
        """Files that lie on this machine were put here by its owner, and serve only the owner's schedules."""
        if schedule.maker.kind != "owner":
            return ()
        seats = self._heart.devices.seats(schedule.action.operation)
        names = artifacts_in(seats[0].operation.input, args)
        found = [self._held(artifact_id(name)) for name in names]
        return tuple(info for info in found if info is not None)

    async def ended(self, schedule: Schedule, ref: bytes) -> str:
        """See `Starter`."""
        try:
            document = await self._heart.wait(ref)
        except UnknownJob:
            return "forgotten"
        return str(document["state"])

    def problem(self, schedule: Schedule, ref: bytes) -> str:
        """See `Starter`."""
        try:
            error = self._heart.job(ref)["error"]
        except KindmeshError as unreadable:
            return unreadable.message
        return error["message"] if error else ""


__all__ = ["Holder", "JobStarter", "Starter", "key_of", "may_pass"]
