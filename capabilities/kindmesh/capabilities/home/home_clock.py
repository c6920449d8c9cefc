"""What happens in a home by itself as time goes by: timers run out, machines arrive at their base, appointments begin
and end. Pure: `advance` says what the home is at a moment, `next_ms` when to look again.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from kindmesh.capabilities.home.lists import calendar_at, calendar_edges
from kindmesh.capabilities.home.model import Entity, Home
from kindmesh.capabilities.home.service_table import amend
from kindmesh.capabilities.home.timers import ends_ms, idle

RETURN_MS: Final = 120_000
"""How long a machine of a simulated home takes to its base."""
_STALE_MS: Final = {
    "binary_sensor": 24 * 3_600_000,
    "device_tracker": 24 * 3_600_000,
    "person": 24 * 3_600_000,
    "sensor": 6 * 3_600_000,
    "weather": 6 * 3_600_000,
}
STALE_AFTER: Final = "stale_after_s"
"""The attribute that says otherwise for one sensor."""


class Advanced(NamedTuple):
    """The home as it is now, and the timers that ran out."""

    home: Home
    finished: tuple[str, ...]


def advance(home: Home, now_ms: int) -> Advanced:
    """The home at `now_ms` (UTC); the same object when nothing happened by itself."""
    fresh: list[Entity] = []
    finished: list[str] = []
    for entity in home.entities.values():
        changed = _at(entity, now_ms)
        if changed is not entity:
            fresh.append(msgspec.structs.replace(changed, changed_ms=now_ms))
            if entity.domain == "timer":
                finished.append(entity.id)
    return Advanced(home.with_entities(*fresh) if fresh else home, tuple(finished))


def next_ms(home: Home, now_ms: int) -> int | None:
    """The next moment (UTC ms, not before `now_ms`) at which something happens by itself; None: nothing is ahead."""
    moments = [moment for entity in home.entities.values() for moment in _moments(entity, now_ms)]
    return max(now_ms, min(moments)) if moments else None


def stale(entity: Entity, now_ms: int) -> bool:
    """A sensor that has not been heard of for so long that its age should be told with its value. What was never heard
    of since it was loaded has no age; what is switched keeps its state until it is switched again."""
    limit = _STALE_MS.get(entity.domain)
    told = entity.attributes.get(STALE_AFTER)
    if isinstance(told, int | float) and not isinstance(told, bool) and told > 0:
        limit = int(told * 1000)
    return limit is not None and entity.changed_ms > 0 and now_ms - entity.changed_ms > limit


def _at(entity: Entity, now_ms: int) -> Entity:
    if entity.domain == "timer":
        end = ends_ms(entity)
        return idle(entity) if end is not None and end <= now_ms else entity
    if entity.state == "returning" and entity.domain in ("vacuum", "lawn_mower"):
        return amend(entity, {}, "docked") if now_ms - entity.changed_ms >= RETURN_MS else entity
    if entity.domain == "calendar":
        return calendar_at(entity, now_ms)
    return entity


def _moments(entity: Entity, now_ms: int) -> list[int]:
    if entity.domain == "timer":
        end = ends_ms(entity)
        return [] if end is None else [end]
    if entity.state == "returning" and entity.domain in ("vacuum", "lawn_mower"):
        return [entity.changed_ms + RETURN_MS]
    if entity.domain == "calendar":
        return [edge for edge in calendar_edges(entity) if edge > now_ms]
    return []


__all__ = ["RETURN_MS", "STALE_AFTER", "Advanced", "advance", "next_ms", "stale"]
