"""Questions about a home that understanding needs: what is where, of which kind, and what it can do.

Kinds are domains and device classes as Home Assistant names them. Where an inventory says nothing about what a thing
can do, it is taken to be able to: whoever owns the thing refuses what it cannot.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from kindmesh.capabilities.home.model import Entity, Home

UNKNOWN: Final = frozenset({"unknown", "unavailable", "none", ""})
FAMILIES: Final[tuple[frozenset[str], ...]] = (
    frozenset({"blind", "shade", "shutter", "curtain", "awning"}),
    frozenset({"garage", "garage_door"}),
    frozenset({"window", "opening"}),
    frozenset({"motion", "occupancy", "presence"}),
    frozenset({"moisture", "water"}),
    frozenset({"gas", "carbon_monoxide", "smoke"}),
)
"""Classes that people call by each other's names; used only when nothing of the very class is there."""
GUARDED_COVERS: Final = frozenset({"door", "garage", "garage_door", "gate"})
"""Classes of cover that let people in."""
_CLASSED: Final = (
    "cover",
    "binary_sensor",
    "sensor",
    "switch",
    "valve",
    "media_player",
    "humidifier",
    "button",
)


def class_of(one: Entity) -> str:
    """The device class, or empty."""
    found = one.attributes.get("device_class", "")
    return found if isinstance(found, str) else ""


def floor_of(home: Home, one: Entity) -> str:
    """Id of the floor that a thing is on, or empty."""
    area = home.areas.get(one.area)
    return area.floor if area is not None else ""


def placed(
    home: Home, pool: Iterable[Entity], areas: tuple[str, ...], floors: tuple[str, ...]
) -> tuple[Entity, ...]:
    """Those of `pool` that are in one of the areas or on one of the floors; all, where neither is given."""
    if not areas and not floors:
        return tuple(pool)
    return tuple(one for one in pool if one.area in areas or (floor_of(home, one) in floors and bool(floors)))


def of_kind(
    home: Home, domains: tuple[str, ...], classes: tuple[str, ...], near: bool = False
) -> tuple[Entity, ...]:
    """Things of one of the domains (empty: any) and of one of the classes (empty: any). `near` takes classes of the
    same family too."""
    wanted = set(classes)
    if near:
        for family in FAMILIES:
            if family & wanted:
                wanted |= family
    return tuple(
        one
        for one in home.entities.values()
        if (not domains or one.domain in domains) and (not wanted or _is_class(one, wanted))
    )


def _is_class(one: Entity, wanted: set[str]) -> bool:
    kind = class_of(one)
    if kind:
        return kind in wanted
    if one.domain == "lock":
        return "door" in wanted or "gate" in wanted
    if one.domain not in _CLASSED:
        return False
    said = " ".join((one.name, *one.aliases)).casefold()
    return any(want.replace("_", " ") in said for want in wanted)


def guarded(one: Entity) -> bool:
    """Whether it lets people, water or gas in: then it must be named clearly before it is opened."""
    return one.domain in ("lock", "valve", "alarm_control_panel") or (
        one.domain == "cover"
        and (class_of(one) in GUARDED_COVERS or (not class_of(one) and _named_as_door(one)))
    )


def _named_as_door(one: Entity) -> bool:
    said = set(" ".join((one.name, *one.aliases)).casefold().split())
    return bool(said & {"door", "garage", "gate"})


def known(one: Entity) -> bool:
    """Whether there is a state to speak of."""
    return one.state.casefold() not in UNKNOWN


def modes(one: Entity) -> frozenset[str] | None:
    """Colour modes of a light; None where the inventory does not say."""
    found = one.attributes.get("supported_color_modes")
    if not isinstance(found, list | tuple):
        return None
    return frozenset(str(mode) for mode in found)


def can(one: Entity, attribute: str) -> bool:
    """Whether a thing takes `attribute` (`brightness_pct`, `color_name`, `color_temp_kelvin`, `position`,
    `percentage`, `volume_level`, `temperature`)."""
    if one.domain == "light":
        found = modes(one)
        if found is None:
            return True
        if attribute == "brightness_pct":
            return bool(found - {"onoff", "unknown"})
        if attribute == "color_temp_kelvin":
            return "color_temp" in found or bool(found & _COLOURED)
        return bool(found & _COLOURED)
    features = one.attributes.get("supported_features")
    bit = _FEATURES.get((one.domain, attribute))
    if bit is None or not isinstance(features, int) or isinstance(features, bool):
        return True
    return bool(features & bit)


_COLOURED: Final = frozenset({"hs", "rgb", "rgbw", "rgbww", "xy"})
_FEATURES: Final[dict[tuple[str, str], int]] = {
    ("cover", "position"): 4,
    ("fan", "percentage"): 1,
    ("climate", "temperature"): 1 | 2,
    ("media_player", "volume_level"): 4,
    ("valve", "position"): 4,
}
"""Bits of `supported_features`, from https://developers.home-assistant.io/docs/core/entity/."""


def number(value: Any) -> float | None:
    """A number from a state or an attribute, or None."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return float(value)
    try:
        return float(str(value))
    except ValueError:
        return None


__all__ = [
    "FAMILIES", "GUARDED_COVERS", "UNKNOWN", "can", "class_of", "floor_of", "guarded", "known", "modes", "number",
    "of_kind", "placed",
]  # fmt: skip
