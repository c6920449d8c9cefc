"""Whether a thing shows what was asked of it: the state afterwards against the call. Only what this says is claimed.

Three answers: it shows it, it does not, or (None) the thing has no state that could show it (a scene, a button, the
next track).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kindmesh.capabilities.home.model import Entity
from kindmesh.coordinator.brain.cortex.intents.household import UNKNOWN, number

_STATES: Final[Mapping[str, tuple[str, ...]]] = {
    "turn_off": ("off",),
    "open_cover": ("open", "opening"),
    "close_cover": ("closed", "closing"),
    "open_valve": ("open", "opening"),
    "close_valve": ("closed", "closing"),
    "lock": ("locked", "locking"),
    "unlock": ("unlocked", "unlocking", "open", "opening"),
    "media_pause": ("paused", "idle", "standby", "off"),
    "media_stop": ("idle", "off", "standby", "paused", "on"),
    "media_play": ("playing", "buffering", "on"),
    "play_media": ("playing", "buffering", "on"),
    "start": ("cleaning", "active", "mowing", "running"),
    "clean_area": ("cleaning",),
    "start_mowing": ("mowing",),
    "return_to_base": ("returning", "docked"),
    "dock": ("returning", "docked"),
    "alarm_arm_away": ("armed_away", "arming", "pending"),
    "alarm_arm_home": ("armed_home", "arming", "pending"),
    "alarm_arm_night": ("armed_night", "arming", "pending"),
    "alarm_disarm": ("disarmed",),
}
_STATELESS: Final = frozenset({"scene", "script", "button", "input_button", "todo", "calendar", "automation"})
_FIELDS: Final[Mapping[str, tuple[str, float]]] = {
    "temperature": ("temperature", 0.26),
    "percentage": ("percentage", 1.0),
    "position": ("current_position", 1.0),
    "volume_level": ("volume_level", 0.011),
    "color_temp_kelvin": ("color_temp_kelvin", 60.0),
}
"""Attribute that shows a field of the data, and how far it may be off (devices round)."""


def shows(one: Entity, service: str, data: Mapping[str, Any]) -> bool | None:
    """See the module."""
    verb = service.partition(".")[2]
    if one.state.casefold() == "unavailable":
        return False
    if one.domain in _STATELESS:
        return None
    if verb == "turn_on":
        if one.state in ("off", *UNKNOWN):
            return False
        wanted = number(data.get("brightness_pct"))
        bright = number(one.attributes.get("brightness"))
        if wanted is not None and bright is not None and abs(bright / 2.55 - wanted) > 1.5:
            return False
        return _fields(one, data)
    if verb in _STATES:
        return one.state in _STATES[verb]
    if verb in ("set_cover_position", "set_valve_position") and one.state in ("opening", "closing"):
        return True
    if verb == "set_percentage" and number(data.get("percentage")) == 0:
        return one.state == "off"
    if verb == "set_hvac_mode":
        return one.state == data.get("hvac_mode")
    if verb == "set_fan_mode":
        return one.attributes.get("fan_mode") == data.get("fan_mode")
    if verb == "volume_mute":
        return one.attributes.get("is_volume_muted") == data.get("is_volume_muted")
    return _fields(one, data) if data else None


def _fields(one: Entity, data: Mapping[str, Any]) -> bool:
    for field, value in data.items():
        attribute, slack = _FIELDS.get(field, ("", 0.0))
        wanted, there = number(value), number(one.attributes.get(attribute)) if attribute else None
        if attribute and wanted is not None and there is not None and abs(wanted - there) > slack:
            return False
    return True


__all__ = ["shows"]
