"""What the planner's loop hears and what it asks for: plain values, no decisions.

`Bounds` are the limits of one request. An `Event` is what happened, an `Instruction` what is to be done about it.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from kindmesh.coordinator.brain.cortex.terms import Understanding
from kindmesh.protocol.plan import Plan


class Bounds(msgspec.Struct, frozen=True):
    """The most that one request may take."""

    rounds: int = 12
    tokens: int = 60_000
    time_ms: int = 60_000
    steps: int = 24
    looks: int = 12


class Call(msgspec.Struct, frozen=True):
    """A tool call of the model."""

    id: str
    name: str
    arguments: dict[str, Any]


class Said(msgspec.Struct, frozen=True):
    """The model answered; `tokens` that it took, in and out."""

    text: str
    calls: tuple[Call, ...]
    tokens: int


class Seen(msgspec.Struct, frozen=True):
    """What a look gave: a value, or in `error` why there is none."""

    name: str
    value: Any = None
    error: str = ""


class Looked(msgspec.Struct, frozen=True):
    """What the looks of one round gave, in their order."""

    seen: tuple[Seen, ...]


class Judged(msgspec.Struct, frozen=True):
    """What the reviewer says: no reasons, it is accepted; `asks`: a person would be asked, else it is refused."""

    reasons: tuple[str, ...]
    asks: bool = False


class Failed(msgspec.Struct, frozen=True):
    """No model answers, or time is up; `why` is a sentence for the person, or empty."""

    why: str = ""


class Garbled(msgspec.Struct, frozen=True):
    """What the model wrote could not be read."""


Event: TypeAlias = Said | Looked | Judged | Failed | Garbled


class Told(msgspec.Struct, frozen=True):
    """Something to say to the model: the result of one of its calls, or (without an id) a word of ours. `data` is not
    ours and is fenced."""

    text: str
    call_id: str = ""
    data: Any = None


class AskModel(msgspec.Struct, frozen=True):
    """Ask the model on, after telling it this."""

    told: tuple[Told, ...]


class LookUp(msgspec.Struct, frozen=True):
    """Do an operation that only reads; `name` is what its result is called."""

    name: str
    operation: str
    arguments: dict[str, Any]


class Look(msgspec.Struct, frozen=True):
    """Do these, all that the model asked for in this round."""

    lookups: tuple[LookUp, ...]


class Judge(msgspec.Struct, frozen=True):
    """Have this plan reviewed."""

    plan: Plan


class End(msgspec.Struct, frozen=True):
    """It is over."""

    understanding: Understanding


Instruction: TypeAlias = AskModel | Look | Judge | End

__all__ = [
    "AskModel", "Bounds", "Call", "End", "Event", "Failed", "Garbled", "Instruction", "Judge", "Judged", "Look",
    "LookUp", "Looked", "Said", "Seen", "Told",
]  # fmt: skip
