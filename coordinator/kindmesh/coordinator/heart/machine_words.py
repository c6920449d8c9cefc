"""The words of the job machine: its states, what it is told (events) and what it asks for (instructions).

    queued ---------> waiting_approval (a person is asked) -------.
      |  ^                                                         v
      |  `--- lost, busy, interrupted --- placed -> accepted -> running
      v                                     |          |          |
    waiting_device (nobody able now, or      `----------`----------`--> succeeded | failed | cancelled
      its device is away with the job)                                  | expired | uncertain

All ids are bytes; times are UTC milliseconds; `epoch` is the fencing token of an attempt, it rises with every new one.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

from kindmesh.protocol.messages.jobs import Outcome

State = Literal[
    "queued", "waiting_approval", "waiting_device", "placed", "accepted", "running",
    "succeeded", "failed", "cancelled", "expired", "uncertain",
]  # fmt: skip
Ended = Literal["succeeded", "failed", "cancelled", "expired", "uncertain"]
STATES: Final[tuple[State, ...]] = (
    "queued", "waiting_approval", "waiting_device", "placed", "accepted", "running",
    "succeeded", "failed", "cancelled", "expired", "uncertain",
)  # fmt: skip
ENDED: Final[frozenset[str]] = frozenset(STATES[6:])

Lease = Literal["none", "chosen", "sent", "freed"]
"""`chosen`: a device was picked, the job was not sent; `sent`: it may have begun there; `freed`: it may have begun, but
doing it again elsewhere is harmless, and the device is away."""


class Submitted(msgspec.Struct, frozen=True, gc=False):
    """The job is new."""


class Placed(msgspec.Struct, frozen=True, gc=False):
    """Placement chose `device`, because `why`."""

    device: bytes
    why: str


class NoCandidate(msgspec.Struct, frozen=True, gc=False):
    """Placement found none: all that could are `busy`, or none can now; `why` names each."""

    why: str
    busy: bool


class Permitted(msgspec.Struct, frozen=True, gc=False):
    """Medulla signed a permit for this attempt."""

    epoch: int
    permit_id: bytes
    policy_version: int
    isolation: str


class ApprovalNeeded(msgspec.Struct, frozen=True, gc=False):
    """Medulla asks a person first, who may answer until `until_ms`."""

    epoch: int
    until_ms: int


class Refused(msgspec.Struct, frozen=True, gc=False):
    """This attempt cannot be made, and no other could: denied, or not sendable."""

    epoch: int
    code: str
    message: str
    hint: str = ""


class ReviewerGone(msgspec.Struct, frozen=True, gc=False):
    """Medulla did not answer; it is being restarted."""

    epoch: int


class SendFailed(msgspec.Struct, frozen=True, gc=False):
    """The last SendJob did not leave this device."""

    epoch: int
    why: str


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """The device has the job in its journal."""

    device: bytes
    epoch: int


class Running(msgspec.Struct, frozen=True, gc=False):
    """The device began."""

    device: bytes
    epoch: int


class ResultArrived(msgspec.Struct, frozen=True, gc=False):
    """A device's result. `code` of its error, or empty; `begun` is False when the device says that it never began;
    `retry_ms` is its own estimate of when it has room."""

    device: bytes
    epoch: int
    outcome: Outcome
    code: str = ""
    begun: bool = True
    retry_ms: int = 0


class DeviceLost(msgspec.Struct, frozen=True, gc=False):
    """The device is silent or its session ended."""

    device: bytes


class DeviceRemoved(msgspec.Struct, frozen=True, gc=False):
    """The device was removed from the mesh: it never reports any more."""

    device: bytes


class DeviceBack(msgspec.Struct, frozen=True, gc=False):
    """The device has a new session, or offers something new."""

    device: bytes


class DeadlinePassed(msgspec.Struct, frozen=True, gc=False):
    """It is late: the deadline, or the grace after it."""


class RetryDue(msgspec.Struct, frozen=True, gc=False):
    """A time that ScheduleRetry named has come, or a place became free."""


class CancelAsked(msgspec.Struct, frozen=True, gc=False):
    """Somebody does not want it any more."""

    by: str


class Preempted(msgspec.Struct, frozen=True, gc=False):
    """Its place is needed for something more urgent, named in `by`."""

    by: str


class DeviceDrains(msgspec.Struct, frozen=True, gc=False):
    """The device is going to be switched off; `move`: it had its time to finish what runs there."""

    device: bytes
    move: bool


class HedgeDue(msgspec.Struct, frozen=True, gc=False):
    """The time that ScheduleHedge named has come."""


class SecondPlaced(msgspec.Struct, frozen=True, gc=False):
    """Placement chose `device` for a second attempt beside the first, because `why`."""

    device: bytes
    why: str


class Restarted(msgspec.Struct, frozen=True, gc=False):
    """The machine was rebuilt from the journal; whether it still has the permit of its attempt."""

    has_permit: bool


Event: TypeAlias = (
    Submitted | Placed | NoCandidate | Permitted | ApprovalNeeded | Refused | ReviewerGone | SendFailed | Accepted
    | Running | ResultArrived | DeviceLost | DeviceRemoved | DeviceBack | DeadlinePassed | RetryDue | CancelAsked
    | Restarted | Preempted | DeviceDrains | HedgeDue | SecondPlaced
)  # fmt: skip


class Place(msgspec.Struct, frozen=True, gc=False):
    """Choose a device, `avoid` only if there is no other; answer Placed or NoCandidate."""

    avoid: bytes = b""


class AskPermit(msgspec.Struct, frozen=True, gc=False):
    """Ask Medulla; answer Permitted, ApprovalNeeded, Refused or ReviewerGone. The lease must be in the journal
    before anything is sent under it."""

    device: bytes
    epoch: int


class SendJob(msgspec.Struct, frozen=True, gc=False):
    """Send it with the permit of this attempt; answer SendFailed if that is not possible."""

    device: bytes
    epoch: int


class SendCancel(msgspec.Struct, frozen=True, gc=False):
    """Tell the device to stop working on this attempt."""

    device: bytes
    epoch: int


class AckResult(msgspec.Struct, frozen=True, gc=False):
    """Tell the device that its result was taken, once the journal has what follows from it."""

    device: bytes
    epoch: int


class ScheduleRetry(msgspec.Struct, frozen=True, gc=False):
    """Come back with RetryDue (or DeadlinePassed) at this time."""

    at_ms: int


class PlaceSecond(msgspec.Struct, frozen=True, gc=False):
    """Choose another device than `beside`, if one is free; answer SecondPlaced, or nothing."""

    beside: bytes


class ScheduleHedge(msgspec.Struct, frozen=True, gc=False):
    """Come back with HedgeDue at this time."""

    at_ms: int


class Finish(msgspec.Struct, frozen=True, gc=False):
    """The job has ended, once and for all. `take`: the result that just arrived is its result; otherwise the error
    is `code`, `message`, `hint`."""

    state: Ended
    take: bool = False
    code: str = ""
    message: str = ""
    hint: str = ""


Instruction: TypeAlias = (
    Place
    | AskPermit
    | SendJob
    | SendCancel
    | AckResult
    | ScheduleRetry
    | PlaceSecond
    | ScheduleHedge
    | Finish
)

StoryDetail: TypeAlias = str | tuple[bytes, int, str]
StoryEntry: TypeAlias = tuple[int, str, bytes, StoryDetail]
"""When (UTC ms), what, device id or empty, detail: a sentence, or (permit id, policy version, isolation)."""

__all__ = [
    "ENDED", "STATES", "Accepted", "AckResult", "ApprovalNeeded", "AskPermit", "CancelAsked", "DeadlinePassed",
    "DeviceBack", "DeviceDrains", "DeviceLost", "DeviceRemoved", "Ended", "Event", "Finish", "HedgeDue",
    "Instruction", "Lease", "NoCandidate", "Permitted", "Place", "PlaceSecond", "Placed", "Preempted",
    "Refused", "Restarted", "ResultArrived", "RetryDue", "ReviewerGone", "Running", "ScheduleHedge",
    "ScheduleRetry", "SecondPlaced", "SendCancel", "SendFailed", "SendJob", "State", "StoryDetail",
    "StoryEntry", "Submitted",
]  # fmt: skip
