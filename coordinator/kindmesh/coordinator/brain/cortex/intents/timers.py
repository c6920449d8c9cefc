"""Timers: which of the home's timers is meant, which call does it, and how long each still runs.

A timer is an entity `timer.<slug>` with the states idle, active and paused, and the attributes `duration`, `remaining`
("0:05:00") and `finishes_at` (ISO time), as Home Assistant has them. A new one takes a free id: of its name, else of
the area, else `timer.timer`. Sentences pick one by its name, its duration or its area; when several can be meant and
none was said, we ask.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from kindmesh.capabilities.home.model import Area, Entity, Home
from kindmesh.coordinator.brain.cortex.intents.book import plain
from kindmesh.coordinator.brain.cortex.intents.household import number
from kindmesh.coordinator.brain.cortex.intents.meaning import Meaning, heard
from kindmesh.coordinator.brain.cortex.terms import Clause

_SLUG: Final = re.compile(r"[^a-z0-9]+")
_UNITS: Final = (("hours", 3600), ("minutes", 60), ("seconds", 1))
RUNNING: Final = ("active", "paused")
NEW_MAX: Final = 100
"""Timers that may run under one name at the same time."""
TIMER_INTENTS: Final = frozenset({
    "HassStartTimer", "HassCancelTimer", "HassCancelAllTimers", "HassIncreaseTimer", "HassDecreaseTimer",
    "HassPauseTimer", "HassUnpauseTimer", "HassTimerStatus",
})  # fmt: skip
_WANTED: Final[Mapping[str, tuple[str, ...]]] = {
    "HassPauseTimer": ("active",),
    "HassUnpauseTimer": ("paused",),
}


class TimerView(msgspec.Struct, frozen=True):
    """A timer as the templates see it; hours, minutes and seconds that are left, and that it was started with."""

    id: str
    name: str
    area: str
    is_active: bool
    total_seconds_left: int
    rounded_hours_left: int
    rounded_minutes_left: int
    rounded_seconds_left: int
    start_hours: int
    start_minutes: int
    start_seconds: int


def seconds_said(meaning: Meaning, prefix: str = "") -> int:
    """The duration in a sentence's slots (`hours`, `minutes`, `seconds`, each with `prefix`), in seconds."""
    total = 0.0
    for unit, factor in _UNITS:
        total += (number(meaning.value(prefix + unit)) or 0.0) * factor
    return round(total)


def words_said(meaning: Meaning, prefix: str = "") -> tuple[int, ...]:
    """Positions of the words that said the duration."""
    return tuple(word for unit, _ in _UNITS if prefix + unit in meaning.slots
                 for word in meaning.slots[prefix + unit].words)  # fmt: skip


def clock_text(seconds: int) -> str:
    """Seconds as `H:MM:SS`."""
    return f"{seconds // 3600}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}"


def seconds_in(value: Any) -> int:
    """Seconds in `H:MM:SS`, `MM:SS` or a number; 0 for what is neither."""
    plain = number(value)
    if plain is not None:
        return round(plain)
    parts = str(value).split(":")
    found = [number(part) for part in parts]
    if not value or any(part is None for part in found) or len(found) > 3:
        return 0
    total = 0.0
    for part in found:
        total = total * 60 + (part or 0.0)
    return round(total)


def left(one: Entity, now_ms: int) -> int:
    """Seconds that a timer still runs."""
    ends = one.attributes.get("finishes_at")
    if one.state == "active" and isinstance(ends, str):
        try:
            at = dt.datetime.fromisoformat(ends)
        except ValueError:
            return seconds_in(one.attributes.get("remaining", 0))
        at = at if at.tzinfo is not None else at.replace(tzinfo=dt.UTC)
        return max(0, round(at.timestamp() - now_ms / 1000))
    return seconds_in(one.attributes.get("remaining", one.attributes.get("duration", 0)))


def timers_meant(home: Home, meaning: Meaning) -> tuple[Entity, ...]:
    """Running and paused timers that a sentence can be about."""
    wanted = _WANTED.get(meaning.intent, RUNNING)
    pool = [one for one in home.entities.values() if one.domain == "timer" and one.state in wanted]
    name = str(meaning.value("name", "")).casefold().strip()
    if name:
        pool = [one for one in pool if _called(one, name)]
    areas = meaning.targets[0].areas if meaning.targets else ()
    if areas:
        pool = [one for one in pool if one.area in areas]
    begun = seconds_said(meaning, "start_")
    if begun:
        pool = [one for one in pool if seconds_in(one.attributes.get("duration", 0)) == begun]
    return tuple(pool)


def _called(one: Entity, name: str) -> bool:
    """ "The oven timer" is the timer "oven", and the timer "Oven Timer"."""
    wanted = _bare(name)
    return bool(wanted) and wanted in {
        _bare(said) for said in (one.name, *one.aliases, one.id.partition(".")[2])
    }


def called_at(meaning: Meaning, clause: Clause, timers: tuple[Entity, ...]) -> tuple[int, ...]:
    """Positions of the words that say which timer: name or place, and "timer" where that is part of its name, or all of
    the name of the only one it can be."""
    at = {word for key in ("name", "area") if key in meaning.slots for word in meaning.slots[key].words}
    names = {word for one in timers for name in (one.name, *one.aliases) for word in plain(name).split()}
    said = [plain(word) for word in clause.text.split()]
    whole = len(timers) == 1 and set(plain(timers[0].name).split()) <= set(said)
    named = [number for number, word in enumerate(said) if word in names]
    return heard(clause, [*at, *named]) if at or whole else ()


def _bare(name: str) -> str:
    return "_".join(part for part in slug(name).split("_") if part not in ("timer", "the", "my"))


def slug(name: str) -> str:
    """A name as the second part of an entity's id."""
    return _SLUG.sub("_", name.casefold()).strip("_") or "timer"


def new_timer(home: Home, name: str, area: Area | None, *, placed: bool = False) -> Entity:
    """The timer that a sentence starts: an idle one of that name; where only the area was said (`placed`), the only
    idle one there; else a new one under a free id."""
    there = [one for one in home.entities.values() if one.domain == "timer" and area is not None
             and one.area == area.id and one.state not in RUNNING]  # fmt: skip
    if placed and not name and len(there) == 1:
        return there[0]
    for one in home.entities.values():
        called = bool(name) and _called(one, name)
        if called and one.domain == "timer" and one.state not in RUNNING:
            return one
    stem = slug(name)
    for count in range(1, NEW_MAX):
        found = f"timer.{stem}" if count == 1 else f"timer.{stem}_{count}"
        same = home.entities.get(found)
        if same is None or same.state not in RUNNING:
            return Entity(found, name or "Timer", area=area.id if area is not None else "", state="idle")
    return Entity(f"timer.{stem}_{NEW_MAX}", name or "Timer", state="idle")


def view(one: Entity, home: Home, now_ms: int) -> TimerView:
    """See `TimerView`. What is left is rounded as people say it: hours with minutes, minutes with seconds."""
    rest, begun = left(one, now_ms), seconds_in(one.attributes.get("duration", 0))
    hours, minutes, seconds = rest // 3600, rest % 3600 // 60, rest % 60
    if hours:
        minutes, seconds = minutes + (1 if seconds >= 30 else 0), 0
        hours, minutes = (hours + 1, 0) if minutes == 60 else (hours, minutes)
    area = home.areas.get(one.area)
    return TimerView(
        one.id, one.name if one.name.casefold() != "timer" else "", area.name if area is not None else "",
        one.state == "active", rest, hours, minutes, seconds, begun // 3600, begun % 3600 // 60, begun % 60,
    )  # fmt: skip


__all__ = [
    "RUNNING", "TIMER_INTENTS", "TimerView", "called_at", "clock_text", "left", "new_timer", "seconds_in",
    "seconds_said", "slug", "timers_meant", "view", "words_said",
]  # fmt: skip
