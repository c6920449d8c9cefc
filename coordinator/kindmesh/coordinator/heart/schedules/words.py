"""A schedule, as it is kept: what is done, when, and what happens if its time was missed. Data only, pure.

`when` is one of
    Cron      wall-clock time in the schedule's zone; a time that does not exist (clocks go forward) runs once, at the
              first instant after the gap; a time that occurs twice (clocks go back) runs once, the first time
    Every     elapsed time from an anchor; no clock change ever shifts it
    At        once: a wall-clock time in the zone, or an instant
    Sun       sunrise or sunset, with an offset; a day without one is a miss that says so
    OnEvent   something was said on the event bus: a topic, conditions on its data, a change of a value, every n-th,
              debounced
A firing is named by its schedule and its *due instant* (UTC milliseconds): that pair is the idempotency key of what is
started, so nothing fires twice.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from kindmesh.protocol.bounds import Arguments, Name, OptionalKey, Payload, TimeMs, Word
from kindmesh.protocol.messages.jobs import Priority
from kindmesh.protocol.principal import OWNER, Principal
from kindmesh.protocol.roles import Purpose

SCHEDULES_MAX: Final = 500
"""Schedules of a household."""
EVERY_LEAST_MS: Final = 10_000
EVERY_MOST_MS: Final = 366 * 86_400_000
GRACE_DEFAULT_MS: Final = 3_600_000
GRACE_MAX_MS: Final = 31 * 86_400_000
CATCH_UP_DEFAULT: Final = 10
CATCH_UP_MAX: Final = 100
JITTER_MAX_MS: Final = 3_600_000
OFFSET_MAX_MS: Final = 12 * 3_600_000
EXPRESSION_MAX: Final = 200
CONDITIONS_MAX: Final = 16
NTH_MAX: Final = 1_000_000
QUIET_MAX_MS: Final = 86_400_000

Misfire = Literal["skip", "once", "all"]
"""What happens to times that passed while nothing could be started: `skip`, `once` for the newest within the grace
time, or `all` of them, at most `catch_up`."""
Overlap = Literal["skip", "queue", "allow"]
"""What happens when the last run has not ended: `skip` this one, `queue` one, or `allow` both."""
SunEvent = Literal["sunrise", "sunset"]
Debounce = Literal["none", "leading", "trailing"]
Test = Literal["=", "!=", "<", "<=", ">", ">="]
TESTS: Final[tuple[Test, ...]] = ("=", "!=", "<", "<=", ">", ">=")
SUN_EVENTS: Final[tuple[SunEvent, ...]] = ("sunrise", "sunset")
DEBOUNCES: Final[tuple[Debounce, ...]] = ("none", "leading", "trailing")
MISFIRES: Final[tuple[Misfire, ...]] = ("skip", "once", "all")
OVERLAPS: Final[tuple[Overlap, ...]] = ("skip", "queue", "allow")

_Millis = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
_Text = Annotated[str, msgspec.Meta(max_length=EXPRESSION_MAX)]
Scalar: TypeAlias = str | int | float | bool | None


class Cron(msgspec.Struct, array_like=True, frozen=True, tag="cron"):
    """Five fields: minute, hour, day of the month, month, day of the week."""

    expression: _Text


class Every(msgspec.Struct, array_like=True, frozen=True, tag="every"):
    """At `anchor_ms` and whole multiples of `every_ms` from there."""

    every_ms: _Millis
    anchor_ms: _Millis


class At(msgspec.Struct, array_like=True, frozen=True, tag="at"):
    """Once: `local` (`2026-12-01T08:00:00`, in the schedule's zone), or if that is empty, the instant `at_ms`."""

    local: _Text = ""
    at_ms: TimeMs = 0


class Sun(msgspec.Struct, array_like=True, frozen=True, tag="sun"):
    """`offset_ms` after (negative: before) sunrise or sunset at that place, in degrees north and east."""

    event: SunEvent
    offset_ms: _Millis
    latitude: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    longitude: Annotated[float, msgspec.Meta(ge=-180, le=180)]


class Condition(msgspec.Struct, array_like=True, frozen=True):
    """The event's data has `field` (nested with dots; `source` and `topic` are the event's own), and it compares so."""

    field: Word
    test: Test
    value: Scalar


class Change(msgspec.Struct, array_like=True, frozen=True):
    """`field` of the data changes, `from_value` to `to_value` (either may be left open: `any_from`, `any_to`), and
    stays so for `for_ms`. Each source is watched for itself."""

    field: Word
    any_from: bool = True
    from_value: Scalar = None
    any_to: bool = True
    to_value: Scalar = None
    for_ms: TimeMs = 0


class OnEvent(msgspec.Struct, array_like=True, frozen=True, tag="event"):
    """Fires on events whose topic fits `pattern` and whose data meets all of `where`; see `trigger_machine`."""

    pattern: Word
    where: Annotated[tuple[Condition, ...], msgspec.Meta(max_length=CONDITIONS_MAX)] = ()
    change: Change | None = None
    every_nth: Annotated[int, msgspec.Meta(ge=1, le=NTH_MAX)] = 1
    debounce: Debounce = "none"
    quiet_ms: TimeMs = 0
    max_wait_ms: TimeMs = 0


When: TypeAlias = Cron | Every | At | Sun | OnEvent


class Action(msgspec.Struct, array_like=True, frozen=True):
    """What is done: one operation with canonical arguments, on a device (20 bytes) or whichever serves best; or a whole
    `plan`, encoded (then `operation` is empty)."""

    operation: Word = ""
    args: Arguments = b""
    target: OptionalKey = b""
    plan: Payload = b""


class Rules(msgspec.Struct, array_like=True, frozen=True):
    """What to do when a time was missed or the last run goes on. `jitter_ms`: every run of this schedule is late by the
    same time, chosen once, below this; so that many schedules of one minute do not begin at once."""

    misfire: Misfire = "once"
    grace_ms: TimeMs = GRACE_DEFAULT_MS
    catch_up: Annotated[int, msgspec.Meta(ge=1, le=CATCH_UP_MAX)] = CATCH_UP_DEFAULT
    overlap: Overlap = "allow"
    jitter_ms: TimeMs = 0


class Schedule(msgspec.Struct, array_like=True, frozen=True):
    """`zone` is an IANA name; `maker` is who made it, and for whom it acts; `delay_ms` is its share of the jitter."""

    schedule_id: bytes
    name: Name
    when: When
    action: Action
    zone: Word
    created_ms: TimeMs
    rules: Rules = Rules()
    priority: Priority = "interactive"
    purpose: Purpose = "household"
    maker: Principal = OWNER
    delay_ms: TimeMs = 0


_UNITS: Final = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))


def duration(milliseconds: int) -> str:
    """`90 min`, `2 h`, `30 s`: in the largest unit of which it is a whole number."""
    for size, unit in _UNITS:
        if milliseconds >= size and milliseconds % size == 0:
            return f"{milliseconds // size} {unit}"
    return f"{milliseconds} ms"


__all__ = [
    "CATCH_UP_DEFAULT", "CATCH_UP_MAX", "CONDITIONS_MAX", "DEBOUNCES", "EVERY_LEAST_MS", "EVERY_MOST_MS",
    "EXPRESSION_MAX", "GRACE_DEFAULT_MS", "GRACE_MAX_MS", "JITTER_MAX_MS", "MISFIRES", "NTH_MAX", "OFFSET_MAX_MS",
    "OVERLAPS", "QUIET_MAX_MS", "SCHEDULES_MAX", "SUN_EVENTS", "TESTS", "Action", "At", "Change", "Condition", "Cron",
    "Debounce", "Every", "Misfire", "OnEvent", "Overlap", "Rules", "Scalar", "Schedule", "Sun", "SunEvent", "Test",
    "When", "duration",
]  # fmt: skip
