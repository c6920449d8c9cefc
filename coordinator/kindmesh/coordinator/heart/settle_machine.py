"""What becomes of a job that ended as `uncertain`: who says whether it happened, and whose word counts. Pure.

    asked --a person says--> happened | did_not_happen
      `-----its device tells it after all--> happened | did_not_happen
    settled --its device tells the opposite--> the same, contradicted

The first word counts and is never changed silently: the same word again changes nothing, another word of a person is
refused, another word of a device is kept beside it, for everybody to see. Nothing here does the job again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

import msgspec

from kindmesh.protocol.errors import InvalidTransition
from kindmesh.protocol.messages.jobs import Outcome

State: TypeAlias = Literal["asked", "happened", "did_not_happen"]
STATES: Final[tuple[State, ...]] = ("asked", "happened", "did_not_happen")


class PersonSaid(msgspec.Struct, frozen=True):
    """Somebody who may looked, and says whether it happened."""

    happened: bool
    by: str


class DeviceTold(msgspec.Struct, frozen=True):
    """Its device's result came after all; None: that result does not know either."""

    happened: bool | None
    device: bytes


Event: TypeAlias = PersonSaid | DeviceTold


class Record(msgspec.Struct, frozen=True):
    """Write down that it is settled, and tell whoever built on the job."""

    happened: bool
    how: Literal["person", "device"]


class Contradict(msgspec.Struct, frozen=True):
    """Write down that the device says the opposite of what a person said."""

    happened: bool


class Note(msgspec.Struct, frozen=True):
    """Nothing new; for the story only."""


class Reject(msgspec.Struct, frozen=True):
    """It was settled otherwise before; nothing is changed."""


Instruction: TypeAlias = Record | Contradict | Note | Reject


class SettleMachine:
    """One job that ended as uncertain."""

    __slots__ = ("contradicted", "state")

    def __init__(self, state: State = "asked", *, contradicted: bool = False) -> None:
        self.state: State = state
        self.contradicted = contradicted

    def handle(self, event: Event, now_ms: int) -> list[Instruction]:
        """What to do now.

        Raises:
            InvalidTransition: the table has no such pair; nothing was changed.
        """
        rule = TABLE.get((self.state, type(event)))
        if rule is None:
            raise InvalidTransition(f"{type(event).__name__} while {self.state}")
        return rule(self, event)

    def validate(self) -> None:
        """Check what must hold between any two events.

        Raises:
            InvalidTransition: which rule is broken.
        """
        if self.state not in STATES or (self.contradicted and self.state == "asked"):
            raise InvalidTransition(f"{self.state}, contradicted: {self.contradicted}")


def _first_word(job: SettleMachine, event: PersonSaid) -> list[Instruction]:
    job.state = "happened" if event.happened else "did_not_happen"
    return [Record(event.happened, "person")]


def _first_result(job: SettleMachine, event: DeviceTold) -> list[Instruction]:
    if event.happened is None:
        return [Note()]
    job.state = "happened" if event.happened else "did_not_happen"
    return [Record(event.happened, "device")]


def _later_word(job: SettleMachine, event: PersonSaid) -> list[Instruction]:
    return [Note() if event.happened == (job.state == "happened") else Reject()]


def _later_result(job: SettleMachine, event: DeviceTold) -> list[Instruction]:
    if event.happened is None or event.happened == (job.state == "happened"):
        return [Note()]
    job.contradicted = True
    return [Contradict(event.happened)]


TABLE: Final[dict[tuple[str, type], Callable[[SettleMachine, Any], list[Instruction]]]] = {
    ("asked", PersonSaid): _first_word,
    ("asked", DeviceTold): _first_result,
    ("happened", PersonSaid): _later_word,
    ("happened", DeviceTold): _later_result,
    ("did_not_happen", PersonSaid): _later_word,
    ("did_not_happen", DeviceTold): _later_result,
}
"""The one table."""


def evidence(outcome: Outcome, *, begun: bool, latest: bool, alone: bool) -> bool | None:
    """What a late result of a device that had the job says about whether it happened; None: nothing certain.

    `begun`: the device began it; `latest`: it is about the last attempt; `alone`: no other device ever had the job. A
    success is one whoever had it; that it did not happen can only be known of the only device, about its last attempt.
    """
    if outcome == "succeeded":
        return True
    if outcome == "uncertain" or not (latest and alone) or (outcome == "cancelled" and begun):
        return None
    return False


__all__ = [
    "STATES", "TABLE", "Contradict", "DeviceTold", "Event", "Instruction", "Note", "PersonSaid", "Record", "Reject",
    "SettleMachine", "State", "evidence",
]  # fmt: skip
