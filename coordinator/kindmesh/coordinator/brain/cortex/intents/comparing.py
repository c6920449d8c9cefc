"""Where it is warmest, and whether one place is warmer than another: questions that look at several sensors at once.

Per place one value counts: of the heating there, else of a sensor; sensors of no place (of a fridge, of the outside)
are left out of "which room is the warmest".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kindmesh.capabilities.home.model import Entity, Home
from kindmesh.coordinator.brain.cortex.intents.book import plain
from kindmesh.coordinator.brain.cortex.intents.household import class_of, number, of_kind
from kindmesh.coordinator.brain.cortex.intents.words import say, words

HUMIDITY: Final = "humidity"


def measured(one: Entity) -> float | None:
    """What a thing measures: the warmth of a heating's room, else its number."""
    own = number(one.attributes.get("current_temperature")) if one.domain == "climate" else None
    return own if own is not None else number(one.state)


def indoors(home: Home, kind: str, language: str) -> tuple[Entity, ...]:
    """One thing per area that measures `kind` (a device class) and is called for its place."""
    outside = set(words(language)["grammar"]["outside"])
    found: dict[str, Entity] = {}
    climates = of_kind(home, ("climate",), ()) if kind != HUMIDITY else ()
    sensors = tuple(one for one in of_kind(home, ("sensor",), ()) if class_of(one) == kind)
    for one in (*climates, *sensors):
        area = home.areas.get(one.area)
        if area is None or measured(one) is None or set(plain(one.name).split()) & outside:
            continue
        called = {part for name in (area.name, *area.aliases) for part in plain(name).split()}
        said = set(plain(one.name).split())
        if one.domain == "climate" or called & said or said <= {*words(language)["grammar"]["sensors"]}:
            found.setdefault(area.id, one)
    return tuple(found.values())


def most(entities: Sequence[Entity], home: Home, *, least: bool, language: str) -> str:
    """Which of them measures most, or least, and what."""
    pool = [(value, one) for one in entities if (value := measured(one)) is not None]
    if not pool:
        return say(language, "no_temperature")
    value, one = (min if least else max)(pool, key=lambda row: row[0])
    return say(language, "is_degrees", {"name": _place(one, home), "value": f"{value:g}{unit(one)}"})


def compared(entities: Sequence[Entity], home: Home, *, least: bool, language: str) -> str:
    """Whether the first of two measures more (or less) than the second, with both values."""
    pool = [(value, one) for one in entities if (value := measured(one)) is not None]
    if len(pool) != 2 or len(entities) != 2:
        return say(language, "not_compared")
    (first, one), (second, other) = pool
    so = first < second if least else first > second
    values = {"one": _place(one, home), "other": _place(other, home), "first": f"{first:g}{unit(one)}",
              "second": f"{second:g}{unit(other)}"}  # fmt: skip
    return say(language, "compares" if so else "compares_not", values)


def unit(one: Entity) -> str:
    """The unit of what it measures, with a space before it."""
    found = one.attributes.get("unit_of_measurement") or one.attributes.get("temperature_unit")
    return f" {found}" if found else " °"


def _place(one: Entity, home: Home) -> str:
    area = home.areas.get(one.area)
    return area.name if area is not None else one.name


def told(
    response: str, values: Mapping[str, Any], entities: Sequence[Entity], home: Home, language: str
) -> str:
    """The answer to `extreme` or `compare`."""
    least = values.get("slots", {}).get("order") == "least"
    if response == "extreme":
        return most(entities, home, least=least, language=language)
    return compared(entities, home, least=least, language=language)


__all__ = ["HUMIDITY", "compared", "indoors", "measured", "most", "told", "unit"]
