"""Yeses to learned routines, as Medulla remembers them: each with the person's signature, and what was used of it.

A use is one time that the sentence was said (its utterance), with the steps that were permitted then and for which job,
so that none is permitted twice. An utterance serves for less than a day after it was heard, and a use is remembered
for a day, so nothing that was forgotten can come again. Rows are checked again when they are restored. What was laid
before a person and not signed yet is not written down: after a restart it is laid before them again. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Final

import msgspec

from kindmesh.coordinator.brain.medulla.instructions import Forget, Save
from kindmesh.protocol.bounds import TimeId, TimeMs
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.routine import (
    ROUTINE_STEPS_MAX,
    ROUTINE_TIMES_MAX,
    RoutineApproval,
    RoutineRequest,
    StepNumber,
    open_routine,
)
from kindmesh.protocol.signed import Signed
from kindmesh.protocol.standing import DAY_MS

ROUTINES_MAX: Final = 64
PROPOSED_MAX: Final = 16
"""Laid before people at once; the oldest make room."""
KIND: Final = "routine"


class Permitted(msgspec.Struct, array_like=True, frozen=True):
    """The number of a step, and the job that it was permitted for."""

    step: StepNumber
    job_id: TimeId


class Said(msgspec.Struct, array_like=True, frozen=True):
    """One time that the sentence was said, when its first step was permitted, and which steps were."""

    utterance_id: TimeId
    at_ms: TimeMs
    done: Annotated[tuple[Permitted, ...], msgspec.Meta(max_length=ROUTINE_STEPS_MAX)] = ()


class KeptRoutine(msgspec.Struct, array_like=True, frozen=True):
    """A signed `RoutineApproval`, and its uses, the oldest first."""

    signed: Signed
    said: Annotated[tuple[Said, ...], msgspec.Meta(max_length=ROUTINE_TIMES_MAX)] = ()


class Agreed(msgspec.Struct, frozen=True):
    """One in force: what the person signed, what that is about, and what is kept of it."""

    approval: RoutineApproval
    asked: RoutineRequest
    kept: KeptRoutine


class Routines:
    """`agreed`: those in force, by id, the oldest first; `proposed`: bytes that may be signed, by id."""

    def __init__(self) -> None:
        self.agreed: dict[bytes, Agreed] = {}
        self.proposed: dict[bytes, bytes] = {}

    def restorers(self, public: Callable[[bytes], bytes]) -> dict[str, Callable[[bytes, bytes], object]]:
        """By the kind of row: what takes its key and value over. `public` finds the key of a person or an owner."""

        def routine(key: bytes, value: bytes) -> None:
            kept = decode(KeptRoutine, value)
            self.put(open_routine(kept.signed, public(kept.signed.author)), kept)

        return {KIND: routine}

    def propose(self, request_id: bytes, request: bytes) -> None:
        """It may be signed from now on."""
        if len(self.proposed) >= PROPOSED_MAX:
            del self.proposed[next(iter(self.proposed))]
        self.proposed[request_id] = request

    def put(self, approval: RoutineApproval, kept: KeptRoutine) -> Save:
        """It is in force, with these uses."""
        asked = approval.asked()
        self.agreed[asked.request_id] = Agreed(approval, asked, kept)
        return Save(KIND, asked.request_id, encode(kept))

    def drop(self, routine_id: bytes) -> list[Forget]:
        """It is over; again changes nothing."""
        return [Forget(KIND, routine_id)] if self.agreed.pop(routine_id, None) else []

    def drop_where(self, over: Callable[[Agreed], bool]) -> list[Forget]:
        """All of which that is true are over."""
        ended = [id_ for id_, one in self.agreed.items() if over(one)]
        return [forget for id_ in ended for forget in self.drop(id_)]

    def drop_of(self, authors: Iterable[bytes]) -> list[Forget]:
        """Whoever signed them leaves."""
        gone = set(authors)
        return self.drop_where(lambda one: one.kept.signed.author in gone)

    def drop_ended(self, now_ms: int) -> list[Forget]:
        """Those past their end."""
        return self.drop_where(lambda one: now_ms > one.approval.expires_ms)

    def said(self, routine_id: bytes, now_ms: int) -> tuple[Said, ...]:
        """The times it was said within a day."""
        return tuple(one for one in self.agreed[routine_id].kept.said if one.at_ms > now_ms - DAY_MS)

    def has_room(self, routine_id: bytes, utterance_id: bytes, now_ms: int) -> bool:
        """Whether this time is one of those that count, or there may be one more."""
        said = self.said(routine_id, now_ms)
        known = any(one.utterance_id == utterance_id for one in said)
        return known or len(said) < self.agreed[routine_id].approval.times

    def done(self, routine_id: bytes, utterance_id: bytes, now_ms: int) -> dict[int, bytes]:
        """What was permitted this time: the job, by the number of the step."""
        said = self.said(routine_id, now_ms)
        found = next((one.done for one in said if one.utterance_id == utterance_id), ())
        return {one.step: one.job_id for one in found}

    def use(self, routine_id: bytes, utterance_id: bytes, permitted: Permitted, now_ms: int) -> Save:
        """This step is permitted for that job, this time."""
        one = self.agreed[routine_id]
        said = {known.utterance_id: known for known in self.said(routine_id, now_ms)}
        before = said.get(utterance_id) or Said(utterance_id, now_ms)
        if permitted not in before.done:
            before = msgspec.structs.replace(before, done=(*before.done, permitted))
        said[utterance_id] = before
        return self.put(one.approval, KeptRoutine(one.kept.signed, tuple(said.values())))


__all__ = [
    "KIND", "PROPOSED_MAX", "ROUTINES_MAX", "Agreed", "KeptRoutine", "Permitted", "Routines", "Said",
]  # fmt: skip
