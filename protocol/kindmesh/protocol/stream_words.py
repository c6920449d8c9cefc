"""What a stream's machine is told (events) and what it has done (instructions). See `stream_machine`."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from kindmesh.protocol.errors import KindmeshError
from kindmesh.protocol.messages.streams import (
    StreamCredit,
    StreamData,
    StreamEnd,
    StreamReason,
    StreamResume,
)


class Answered(msgspec.Struct, frozen=True):
    """The device said yes; `credit` for what the opener sends, and how long it will let the stream last."""

    credit: StreamCredit
    duration_ms: int


class Refused(msgspec.Struct, frozen=True):
    """The device said no, or the opening could not be sent."""

    error: KindmeshError


class LinkUp(msgspec.Struct, frozen=True):
    """There is a way to the other end (again), or another one."""


class LinkDown(msgspec.Struct, frozen=True):
    """There is no way to the other end now."""


class Write(msgspec.Struct, frozen=True):
    """One piece from this side's program; only when `writable`."""

    data: bytes
    last: bool


class CloseOutput(msgspec.Struct, frozen=True):
    """This side's program writes no more."""


class Pull(msgspec.Struct, frozen=True):
    """There is room on the link for one frame."""


class Take(msgspec.Struct, frozen=True):
    """This side's program wants one piece; only when `readable`."""


class DataCame(msgspec.Struct, frozen=True):
    """A frame, authenticated under the stream's keys."""

    frame: StreamData


class CreditCame(msgspec.Struct, frozen=True):
    """The other end's credit."""

    credit: StreamCredit


class ResumeCame(msgspec.Struct, frozen=True):
    """The other end wants to go on from there, or to know whether this one lives."""

    resume: StreamResume


class EndCame(msgspec.Struct, frozen=True):
    """The other end's signed end."""

    end: StreamEnd


class Finish(msgspec.Struct, frozen=True):
    """The operation ended well, with this result (canonical MessagePack); acting side only."""

    value: bytes


class Abort(msgspec.Struct, frozen=True):
    """This side ends it."""

    reason: StreamReason
    error: KindmeshError


class Tick(msgspec.Struct, frozen=True):
    """It is `due_ms`, or later."""


Event: TypeAlias = (
    Answered | Refused | LinkUp | LinkDown | Write | CloseOutput | Pull | Take | DataCame | CreditCame | ResumeCame
    | EndCame | Finish | Abort | Tick
)  # fmt: skip


class Transmit(msgspec.Struct, frozen=True):
    """Send this under the stream's keys."""

    body: StreamData | StreamCredit | StreamResume


class Hand(msgspec.Struct, frozen=True):
    """Give this piece to this side's program."""

    frame: StreamData


class SayEnd(msgspec.Struct, frozen=True):
    """Send this end, signed."""

    reason: StreamReason
    error: KindmeshError | None
    value: bytes


class Over(msgspec.Struct, frozen=True):
    """It has ended. `confirmed`: the other end knows, and has stopped. What is `readable` may still be taken."""

    reason: StreamReason
    error: KindmeshError | None
    value: bytes
    confirmed: bool


Instruction: TypeAlias = Transmit | Hand | SayEnd | Over

__all__ = [
    "Abort",
    "Answered",
    "CloseOutput",
    "CreditCame",
    "DataCame",
    "EndCame",
    "Event",
    "Finish",
    "Hand",
    "Instruction",
    "LinkDown",
    "LinkUp",
    "Over",
    "Pull",
    "Refused",
    "ResumeCame",
    "SayEnd",
    "Take",
    "Tick",
    "Transmit",
    "Write",
]
