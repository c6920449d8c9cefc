"""When a schedule is due: the instants after a moment, and those of a time that has passed, newest first.

Everything here is a function of the schedule's words and the times it is given. A due instant may say why nothing can
be done at it (`why_not`: the sun does not rise that day); it counts as a miss.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import islice, takewhile
from typing import Final

import msgspec

from kindmesh.coordinator.heart.schedules.words import At, Cron, Every, OnEvent, Schedule, Sun, When
from kindmesh.coordinator.heart.schedules.zones import LATEST_MS, instant_of, zone_named

LOOK_BACK_MAX: Final = 500
"""Due instants of the past that are looked at one by one; of older ones is only said that there were some."""


class Due(msgspec.Struct, frozen=True, gc=False):
    """`at_ms` UTC; `why_not` is empty unless there is no such moment that day."""

    at_ms: int
    why_not: str = ""


def after(when: When, zone: str, after_ms: int) -> Iterator[Due]:
    """All due instants later than `after_ms`, ascending; without end for most schedules."""
    if isinstance(when, Cron):
        from kindmesh.coordinator.heart.schedules import cron  # noqa: PLC0415 - memory, until somebody has one

        return (Due(at_ms) for at_ms in cron.forward(when.expression, after_ms, zone_named(zone)))
    if isinstance(when, Every):
        first = when.anchor_ms + max(0, (after_ms - when.anchor_ms) // when.every_ms + 1) * when.every_ms
        return (Due(at_ms) for at_ms in range(first, LATEST_MS, when.every_ms))
    if isinstance(when, At):
        at_ms = at_instant(when, zone)
        return iter([Due(at_ms)] if at_ms > after_ms else [])
    if isinstance(when, Sun):
        from kindmesh.coordinator.heart.schedules import sun  # noqa: PLC0415 - as above

        return (Due(*found) for found in sun.forward(when, after_ms))
    return iter(())


def before(when: When, zone: str, until_ms: int) -> Iterator[Due]:
    """All due instants not later than `until_ms`, descending."""
    if isinstance(when, Cron):
        from kindmesh.coordinator.heart.schedules import cron  # noqa: PLC0415 - as above

        return (Due(at_ms) for at_ms in cron.backward(when.expression, until_ms, zone_named(zone)))
    if isinstance(when, Every):
        last = when.anchor_ms + (until_ms - when.anchor_ms) // when.every_ms * when.every_ms
        return (Due(at_ms) for at_ms in range(last, when.anchor_ms - 1, -when.every_ms))
    if isinstance(when, At):
        at_ms = at_instant(when, zone)
        return iter([Due(at_ms)] if at_ms <= until_ms else [])
    if isinstance(when, Sun):
        from kindmesh.coordinator.heart.schedules import sun  # noqa: PLC0415 - as above

        return (Due(*found) for found in sun.backward(when, until_ms))
    return iter(())


def at_instant(when: At, zone: str) -> int:
    """The one instant of a one-shot."""
    return instant_of(datetime.fromisoformat(when.local), zone_named(zone)) if when.local else when.at_ms


def next_due(schedule: Schedule, after_ms: int) -> Due | None:
    """The first due instant later than `after_ms`."""
    return next(after(schedule.when, schedule.zone, after_ms), None)


def coming(schedule: Schedule, after_ms: int, *, count: int, until_ms: int = LATEST_MS) -> list[Due]:
    """At most `count` due instants later than `after_ms`, none later than `until_ms`."""
    due = islice(after(schedule.when, schedule.zone, after_ms), count)
    return list(takewhile(lambda one: one.at_ms <= until_ms, due))


def passed(schedule: Schedule, after_ms: int, until_ms: int) -> tuple[list[Due], bool]:
    """The due instants later than `after_ms` and not later than `until_ms`, ascending: the newest `LOOK_BACK_MAX`; and
    whether there were older ones."""
    if until_ms <= after_ms:
        return [], False
    due = takewhile(lambda one: one.at_ms > after_ms, before(schedule.when, schedule.zone, until_ms))
    found = list(islice(due, LOOK_BACK_MAX + 1))
    return found[:LOOK_BACK_MAX][::-1], len(found) > LOOK_BACK_MAX


def is_timed(when: When) -> bool:
    """Whether it is due at times, and not on events."""
    return not isinstance(when, OnEvent)


__all__ = [
    "LOOK_BACK_MAX",
    "Due",
    "after",
    "at_instant",
    "before",
    "coming",
    "is_timed",
    "next_due",
    "passed",
]
