"""How risky a call is: which of the three operations of `home` it belongs to.

`home.note` writes down (lists, calendars, timers). `home.access` is what lets somebody in, lets something out or turns
the watch off: locks, doors, gates, garage and window covers, valves, alarms. `home.control` is everything else that
acts. What cannot be told from a kind is told by the name ("gate opener", "oven"), and where that errs, it errs towards
asking. The attribute `risk: access` in the inventory puts anything among the risky. Stopping is never risky.
"""

from __future__ import annotations

import re
from typing import Final

from kindmesh.capabilities.home.model import Entity, Home
from kindmesh.capabilities.home.scenes import nested_of
from kindmesh.capabilities.home.services import service_domain, service_of

CONTROL: Final = "home.control"
ACCESS: Final = "home.access"
NOTE: Final = "home.note"
_NOTES: Final = frozenset({"todo", "calendar", "timer"})
_GUARDED: Final = frozenset({"lock", "valve", "alarm_control_panel"})
_GUARDED_COVERS: Final = frozenset({"door", "garage", "gate", "window"})
_STOPS: Final = frozenset(
    {"cover.stop_cover", "cover.stop_cover_tilt", "valve.stop_valve", "script.turn_off"}
)
_COVER_WORDS: Final = re.compile(r"door|gate|garage|window|tür|tor(?![a-z])|fenster")
_SWITCH_WORDS: Final = re.compile(
    r"door|gate|\block|unlock|opener|valve|alarm|stove|oven|\bhob\b|cooker|tür|\btor\b|schloss|ventil|herd|ofen"
)
_SHADES: Final = re.compile(r"blind|curtain|shade|shutter|awning|rollo|rollladen|jalousie|vorhang|markise")
_LAMP: Final = re.compile(r"light|lamp|licht|lampe")
_ANYTHING: Final = frozenset(
    {"automation", "button", "input_boolean", "input_button", "scene", "script", "switch"}
)
_DEPTH_MAX: Final = 4


def operation_for(entity: Entity, service: str, home: Home | None = None) -> str:
    """`home.control`, `home.access` or `home.note`. `home` tells what the entities of a scene or script are; without it
    every cover in them counts as a door.

    Raises:
        InvalidInput: the entity does not have the service.
    """
    return _operation(entity, service_of(entity, service).name, home, 0)


def _operation(entity: Entity, service: str, home: Home | None, depth: int) -> str:
    domain = service_domain(entity.id)
    service = service.replace("homeassistant.", f"{domain}.", 1)
    if service in _STOPS:
        return CONTROL
    if str(entity.attributes.get("risk", "")).lower() == "access" or domain in _GUARDED:
        return ACCESS
    if domain in _NOTES:
        return NOTE
    if domain == "cover" and _is_door(entity):
        return ACCESS
    if domain in _ANYTHING and _sounds_risky(entity):
        return ACCESS
    for one in nested_of(entity, service):
        for name in one.entities:
            inner = home.entities.get(name) if home is not None else None
            if inner is None:
                inner = Entity(name, name, attributes={"device_class": "door"})
            verb = one.service or f"{service_domain(name)}.set"
            if depth >= _DEPTH_MAX or _operation(inner, verb, home, depth + 1) == ACCESS:
                return ACCESS
    return CONTROL


def _named(entity: Entity) -> str:
    return " ".join((entity.id.partition(".")[2].replace("_", " "), entity.name, *entity.aliases)).lower()


def _is_door(entity: Entity) -> bool:
    kind = entity.attributes.get("device_class")
    if isinstance(kind, str) and kind:
        return kind in _GUARDED_COVERS
    named = _named(entity)
    return bool(_COVER_WORDS.search(named)) and not _SHADES.search(named)


def _sounds_risky(entity: Entity) -> bool:
    named = _named(entity)
    return bool(_SWITCH_WORDS.search(named)) and not _LAMP.search(named)


__all__ = ["ACCESS", "CONTROL", "NOTE", "operation_for"]
