"""Timers: `idle`, `active` or `paused`, with `duration`, `remaining` and `finishes_at` as Home Assistant tells them.

`timer.start` on a paused timer goes on; with a duration, or otherwise, it begins anew. `timer.change` makes what is
left longer or shorter; unlike Home Assistant it may grow beyond what it began with, because people say "five minutes
more". Durations are `0:05:00`, `05:00` is refused (minutes or hours?), and a number is seconds.
Source: https://www.home-assistant.io/integrations/timer/.
"""

from __future__ import annotations

import re
from typing import Any, Final

from kindmesh.capabilities.home.lists import moment
from kindmesh.capabilities.home.model import Entity
from kindmesh.capabilities.home.service_table import Data, Service, amend, cannot, table, word
from kindmesh.capabilities.home.switches import instant
from kindmesh.protocol.errors import InvalidInput

DURATION_MAX_S: Final = 31 * 86_400
_HMS: Final = re.compile(r"([+-]?)(\d{1,4}):([0-5]?\d):([0-5]?\d)(?:\.\d+)?")
_SECONDS: Final = re.compile(r"[+-]?\d{1,8}(?:\.\d+)?")
_RUNNING: Final = ("remaining", "finishes_at")


def seconds_of(value: Any, field: str = "data.duration") -> int:
    """Whole seconds of `0:05:00`, `300`, `"300"` or `{hours, minutes, seconds}`; a minus in front is kept.

    Raises:
        InvalidInput: it is no duration, or longer than a month.
    """
    found: float | None = None
    if isinstance(value, dict) and value and set(value) <= {"days", "hours", "minutes", "seconds"}:
        each = {"days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}
        if all(isinstance(part, int | float) and not isinstance(part, bool) for part in value.values()):
            found = sum(each[name] * part for name, part in value.items())
    elif isinstance(value, int | float) and not isinstance(value, bool):
        found = value
    elif isinstance(value, str) and (match := _HMS.fullmatch(value.strip())):
        sign, hours, minutes, seconds = match.groups()
        found = (int(hours) * 3_600 + int(minutes) * 60 + int(seconds)) * (-1 if sign == "-" else 1)
    elif isinstance(value, str) and _SECONDS.fullmatch(value.strip()):
        found = float(value)
    if found is None or not -DURATION_MAX_S <= found <= DURATION_MAX_S:
        raise InvalidInput(
            "that is no duration", field=field, hint="Such as 0:05:00, or a number of seconds."
        )
    return round(found)


def hms(seconds: int) -> str:
    """`0:05:00`."""
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def ends_ms(entity: Entity) -> int | None:
    """When an active timer ends (UTC ms); None: it is not active, or does not say."""
    if entity.state != "active":
        return None
    end = moment(str(entity.attributes.get("finishes_at", "")))
    return None if end is None else round(end.timestamp() * 1000)


def _left(entity: Entity, now_ms: int) -> int:
    end = ends_ms(entity)
    if end is not None:
        return max(0, (end - now_ms) // 1000)
    value = entity.attributes.get("remaining", entity.attributes.get("duration", 0))
    return max(0, seconds_of(value, "remaining"))


def _running(entity: Entity, seconds: int, now_ms: int, total: int) -> Entity:
    told = {
        "duration": hms(total),
        "remaining": hms(seconds),
        "finishes_at": instant(now_ms + seconds * 1000 + 999),  # never early: it is told in whole seconds
    }
    return amend(entity, told, "active")


def idle(entity: Entity) -> Entity:
    """The timer at rest."""
    return amend(entity, {}, "idle", _RUNNING)


def _start(entity: Entity, data: Data, now_ms: int) -> Entity:
    given = seconds_of(data["duration"]) if "duration" in data else 0
    if not given and entity.state == "paused":
        return _running(entity, _left(entity, now_ms), now_ms, _total(entity))
    total = given or _total(entity)
    if total <= 0:
        raise InvalidInput(
            f"{entity.name} does not know for how long", field="data.duration", hint="Give duration=0:05:00."
        )
    return _running(entity, total, now_ms, total)


def _total(entity: Entity) -> int:
    return max(0, seconds_of(entity.attributes.get("duration", 0), "duration"))


def _pause(entity: Entity, data: Data, now_ms: int) -> Entity:
    if entity.state != "active":
        return entity
    return amend(entity, {"remaining": hms(_left(entity, now_ms))}, "paused", ("finishes_at",))


def _end(entity: Entity, data: Data, now_ms: int) -> Entity:
    return idle(entity)


def _change(entity: Entity, data: Data, now_ms: int) -> Entity:
    by = seconds_of(data["duration"])
    if entity.state not in ("active", "paused"):
        raise cannot(entity, "be changed: it does not run")
    left = _left(entity, now_ms) + by
    if left <= 0:
        raise InvalidInput(
            f"{entity.name} has less than that left", field="data.duration", hint="timer.cancel ends it."
        )
    total = max(_total(entity), left)
    if entity.state == "active":
        return _running(entity, left, now_ms, total)
    return amend(entity, {"remaining": hms(left), "duration": hms(total)})


_DURATION: Final = word("duration", "0:05:00, or seconds")
TIMERS: Final = table(
    Service(
        "timer.start",
        "Start, or go on",
        _start,
        (_DURATION, word("name", "what a new timer is called", most=100)),
        idempotent=False,
    ),
    Service("timer.pause", "Hold", _pause),
    Service("timer.cancel", "End it, and do not ring", _end),
    Service("timer.finish", "End it now", _end),
    Service(
        "timer.change",
        "Longer, or with a minus shorter",
        _change,
        (word("duration", "+0:05:00, -0:01:00, or seconds", required=True),),
        idempotent=False,
    ),
)

__all__ = ["DURATION_MAX_S", "TIMERS", "ends_ms", "hms", "idle", "seconds_of"]
