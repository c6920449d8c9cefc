"""Results that come when nobody waits for them, and endings that nobody hears of: stories, settlements, dead letters.

Every result ends in exactly one of these: it is a job's result (`dispatch`); it is noted in the story of a job that
has ended, which it may settle; or it is a dead letter. Only when that is written is it acknowledged.
"""

from __future__ import annotations

import logging
from typing import Final

import msgspec

from kindmesh.coordinator.heart.dead_letters import DeadLetters
from kindmesh.coordinator.heart.devices import Devices
from kindmesh.coordinator.heart.journal import Ending, HeartJournal, JobFacts
from kindmesh.coordinator.heart.machine_job import STORY_MAX
from kindmesh.coordinator.heart.results import clean
from kindmesh.coordinator.heart.settling import Settler
from kindmesh.mesh.clock import Clock
from kindmesh.protocol.codec import encode
from kindmesh.protocol.errors import Malformed, UnknownCritical, UnsupportedVersion
from kindmesh.protocol.messages.jobs import JobResult, is_alert

log = logging.getLogger("kindmesh.coordinator.heart")

LASTING: Final = frozenset({"NO_DEVICE_ABLE", "CAPABILITY_MISSING", "UNKNOWN_OPERATION"})
"""Why a job ends that no device could do and that would not have passed by itself."""
_CANNOT_BE_READ: Final = frozenset({Malformed.code, UnknownCritical.code, UnsupportedVersion.code})
_MINUTE_MS: Final = 60_000


class Late:
    """See the module."""

    def __init__(
        self, journal: HeartJournal, devices: Devices, letters: DeadLetters, settler: Settler, clock: Clock
    ) -> None:
        self._clock = clock
        self._said_ms: dict[tuple[bytes, str], int] = {}
        self._journal = journal
        self._devices = devices
        self.letters = letters
        self.settler = settler

    def result(self, device: bytes, result: JobResult, now_ms: int) -> bool:
        """A result of a job that is not open; False when no such job is known, and it is a dead letter.

        Raises:
            DiskFull, StoreError: nothing was noted, so the device must keep it.
        """
        row = self._journal.load(result.job_id)
        if row is None:
            self.letters.add(
                "unknown", device=device, job_id=result.job_id, code="UNKNOWN_JOB",
                what=f"{result.outcome}, of a job that is not known here", body=encode(result),
            )  # fmt: skip
            return False
        self._journal.add_story(result.job_id, (now_ms, "late result", device, result.outcome), STORY_MAX)
        if row.now.state == "uncertain":
            read = clean(device, result)
            if result.outcome == "succeeded" and read.outcome != "succeeded":
                self.unreadable(device, result)
            # That its value cannot be read does not make it undone.
            told = msgspec.structs.replace(result, value=read.value)
            self.settler.result(row, device, self._devices.name(device), told, now_ms)
        return True

    def unreadable(self, device: bytes, result: JobResult) -> None:
        """A result whose value cannot be read: as it came, for a version that can."""
        self.letters.try_add(
            "unreadable", device=device, job_id=result.job_id, code=Malformed.code,
            what="the device did it, but its result cannot be read", body=encode(result),
        )  # fmt: skip

    def refused(self, peer: bytes, code: str) -> None:
        """A message was refused; of one that a member sent and that cannot be read something is kept, once a minute."""
        if code not in _CANNOT_BE_READ or not self._devices.is_member(peer):
            return
        now_ms = self._clock.now_ms()
        if now_ms - self._said_ms.get((peer, code), -_MINUTE_MS) >= _MINUTE_MS:
            self._said_ms[peer, code] = now_ms
            self.letters.try_add("unreadable", device=peer, code=code, what="messages of it cannot be read")

    def ended(self, facts: JobFacts, device: bytes, state: str, ended: Ending, *, heard: bool) -> None:
        """A job has ended; `heard`: somebody waits for it or watches."""
        code = "" if ended.error is None else ended.error.code
        said = "" if ended.error is None else ended.error.message
        if code in LASTING:
            self.letters.try_add(
                "refused", device=device, job_id=facts.job_id, code=code, what=f"{facts.operation}: {said}"
            )
        elif not heard and state != "succeeded" and is_alert(facts.priority, facts.effects):
            self.letters.try_add(
                "alert",
                device=device,
                job_id=facts.job_id,
                code=code,
                what=f"{facts.operation} {state}: {said}",
            )


__all__ = ["LASTING", "Late"]
