"""The words of the schedule machine: states, what it is told (events), what it asks for (instructions).

    active <--pause / resume--> paused
      |  `--nothing more to come--> ended
      `--who made it is gone--> stopped        (from active, paused and ended alike)

A *firing* is one due instant of the schedule:

    waiting (for the run before) --> starting (on the disk, being started) --> started --> succeeded | failed | ...
    missed (nothing was started, and why)

All times are UTC milliseconds; `due_ms` names the firing.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

State = Literal["active", "paused", "ended", "stopped"]
STATES: Final[tuple[State, ...]] = ("active", "paused", "ended", "stopped")
Phase = Literal["waiting", "starting", "started"]
"""Of a firing that has not ended."""
Reason = Literal[
    "away", "late", "newer", "many", "overlap", "paused", "sun", "stopped",
]  # fmt: skip
"""Why a firing was missed: nothing could be started at the time (`away`); too late to make up for (`late`); a newer one
was started in its place (`newer`); more than are made up for (`many`); the run before went on (`overlap`); `paused`;
the sun did not rise or set (`sun`); whoever made it is gone (`stopped`)."""


class Passed(msgspec.Struct, frozen=True, gc=False):
    """One due instant that has come; `why_not`: there is no such moment."""

    due_ms: int
    why_not: str = ""


class Tick(msgspec.Struct, frozen=True, gc=False):
    """Time passed. `passed`: what became due since the cursor and until `until_ms`, ascending; `older`: there was more,
    from before these; `next_ms`: when the next is due, 0: never."""

    until_ms: int
    passed: tuple[Passed, ...]
    older: bool
    next_ms: int


class ClockSetBack(msgspec.Struct, frozen=True, gc=False):
    """The clock reads earlier than before: `to_ms`. `taken`: due instants later than that, for which something was
    started already."""

    to_ms: int
    taken: tuple[int, ...]


class Triggered(msgspec.Struct, frozen=True, gc=False):
    """Something happened that the schedule waits for; `due_ms` is new."""

    due_ms: int
    why: str


class RunNow(msgspec.Struct, frozen=True, gc=False):
    """A person wants it done now; `due_ms` is new."""

    due_ms: int
    by: str


class StartDone(msgspec.Struct, frozen=True, gc=False):
    """What a firing wanted is on the disk under this id, and will be done."""

    due_ms: int
    ref: bytes


class StartRefused(msgspec.Struct, frozen=True, gc=False):
    """It could not be started; `again`: another try may go better."""

    due_ms: int
    why: str
    again: bool


class RunEnded(msgspec.Struct, frozen=True, gc=False):
    """What was started has ended as `outcome`."""

    due_ms: int
    outcome: str


class RetryDue(msgspec.Struct, frozen=True, gc=False):
    """The time of a `Retry` has come."""

    due_ms: int


class PauseAsked(msgspec.Struct, frozen=True, gc=False):
    """A person wants a rest from it."""

    by: str


class ResumeAsked(msgspec.Struct, frozen=True, gc=False):
    """A person wants it again."""

    by: str


class MakerGone(msgspec.Struct, frozen=True, gc=False):
    """Whoever made it is no longer here; `why` in plain words."""

    why: str


class Restarted(msgspec.Struct, frozen=True, gc=False):
    """The machine was rebuilt from the journal."""


Event: TypeAlias = (
    Tick | ClockSetBack | Triggered | RunNow | StartDone | StartRefused | RunEnded | RetryDue | PauseAsked | ResumeAsked
    | MakerGone | Restarted
)  # fmt: skip


class Begin(msgspec.Struct, frozen=True, gc=False):
    """Write the firing down as `starting`, then start it; answer StartDone or StartRefused. `late_ms`: how late."""

    due_ms: int
    late_ms: int
    why: str = ""


class Wait(msgspec.Struct, frozen=True, gc=False):
    """Write the firing down as `waiting`."""

    due_ms: int
    why: str = ""


class Started(msgspec.Struct, frozen=True, gc=False):
    """Write the firing down as `started`."""

    due_ms: int
    ref: bytes


class Retry(msgspec.Struct, frozen=True, gc=False):
    """Come back with RetryDue at `at_ms`."""

    due_ms: int
    at_ms: int
    why: str


class StartAgain(msgspec.Struct, frozen=True, gc=False):
    """Start a firing that is on the disk already."""

    due_ms: int


class Close(msgspec.Struct, frozen=True, gc=False):
    """Write down how a firing ended."""

    due_ms: int
    outcome: str
    why: str = ""


class Miss(msgspec.Struct, frozen=True, gc=False):
    """Write down that nothing was started. With `count` above 1 it stands for that many, from `first_ms` to `due_ms`;
    `more`: and others before those."""

    due_ms: int
    reason: Reason
    why: str
    first_ms: int = 0
    count: int = 1
    more: bool = False


class Retract(msgspec.Struct, frozen=True, gc=False):
    """Forget misses later than this: their time is yet to come."""

    after_ms: int


class Keep(msgspec.Struct, frozen=True, gc=False):
    """Write down how the schedule itself stands."""


class Wake(msgspec.Struct, frozen=True, gc=False):
    """The next is due then."""

    at_ms: int


Instruction: TypeAlias = (
    Begin | Wait | Started | Retry | StartAgain | Close | Miss | Retract | Keep | Wake
)  # fmt: skip

__all__ = [
    "STATES", "Begin", "ClockSetBack", "Close", "Event", "Instruction", "Keep", "MakerGone", "Miss", "Passed",
    "PauseAsked", "Phase", "Reason", "Restarted", "ResumeAsked", "Retract", "Retry", "RetryDue", "RunEnded", "RunNow",
    "StartAgain", "StartDone", "StartRefused", "Started", "State", "Tick", "Triggered", "Wait", "Wake",
]  # fmt: skip
