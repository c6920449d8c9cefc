"""What a value can be set on: which intent and slot it is for each domain, and how large a step is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from kindmesh.capabilities.home.model import Entity
from kindmesh.coordinator.brain.cortex.intents.household import number
from kindmesh.coordinator.brain.cortex.intents.meaning import Meaning
from kindmesh.coordinator.brain.cortex.intents.values import (
    COLOUR,
    DEGREES,
    KELVIN,
    LEVEL,
    MODE,
    NUMBER,
    PERCENT,
    Value,
)

SETTINGS: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    ("light", PERCENT): ("HassLightSet", "brightness"),
    ("light", NUMBER): ("HassLightSet", "brightness"),
    ("light", COLOUR): ("HassLightSet", "color"),
    ("light", KELVIN): ("HassLightSet", "temperature"),
    ("climate", DEGREES): ("HassClimateSetTemperature", "temperature"),
    ("climate", NUMBER): ("HassClimateSetTemperature", "temperature"),
    ("climate", MODE): ("HassClimateSetMode", "hvac_mode"),
    ("fan", PERCENT): ("HassFanSetSpeed", "percentage"),
    ("fan", NUMBER): ("HassFanSetSpeed", "percentage"),
    ("fan", LEVEL): ("HassFanSetSpeed", "percentage"),
    ("cover", PERCENT): ("HassSetPosition", "position"),
    ("cover", NUMBER): ("HassSetPosition", "position"),
    ("valve", PERCENT): ("HassSetPosition", "position"),
    ("media_player", PERCENT): ("HassSetVolume", "volume_level"),
    ("media_player", NUMBER): ("HassSetVolume", "volume_level"),
    ("humidifier", PERCENT): ("HassHumidifierSetpoint", "humidity"),
    ("humidifier", NUMBER): ("HassHumidifierSetpoint", "humidity"),
    ("water_heater", DEGREES): ("HassWaterHeaterSetTemperature", "temperature"),
    ("water_heater", NUMBER): ("HassWaterHeaterSetTemperature", "temperature"),
}
"""Intent and slot of a value set on a domain."""
RESPONSES: Final = {"brightness": "brightness", "color": "color"}


SLOT_OF: Final = {
    "HassLightSet": "brightness", "HassClimateSetTemperature": "temperature", "HassFanSetSpeed": "percentage",
    "HassSetPosition": "position", "HassSetTilt": "tilt",
    "HassSetVolume": "volume_level", "HassClimateSetMode": "hvac_mode",
}  # fmt: skip
EVERYTHING: Final = frozenset({"HassTurnOff", "HassTurnOn"})
FAHRENHEIT_FROM: Final = 45
"""Degrees from which the most that heating can be set to is no °C."""
POSITION_STEP: Final = 20
"""Points of a hundred that "a bit further" is for a cover."""
STEPS: Final[Mapping[str, tuple[str, str, float]]] = {
    "light": ("HassLightStep", "step", 10),
    "climate": ("HassClimateStep", "step", 1),
    "media_player": ("HassSetVolumeRelative", "volume_step", 10),
    "fan": ("HassFanStep", "step", 20),
    "cover": ("HassPositionStep", "step", POSITION_STEP),
    "light_warmth": ("HassLightWarmthStep", "step", 500),
    "humidifier": ("HassHumidifierStep", "step", 5),
    "water_heater": ("HassWaterHeaterStep", "step", 5),
}


def together(one: Meaning, other: Meaning) -> Meaning | None:
    """Two settings of the same thing as one; None when they cannot be one."""
    if {one.intent, other.intent} == {"HassClimateSetMode", "HassClimateSetTemperature"}:
        warm = one if one.intent == "HassClimateSetTemperature" else other
        return msgspec.structs.replace(warm, slots={**one.slots, **other.slots})
    light = {"brightness", "color", "temperature"}
    if {one.intent, other.intent} != {"HassLightSet"} or light & {*one.slots} & {*other.slots}:
        return None
    return msgspec.structs.replace(one, slots={**one.slots, **other.slots})


def bearable(value: float, heated: Iterable[Entity] = ()) -> bool:
    """Whether a bare number can be meant as the temperature of a room: what its heating can be set to (in the unit that
    it has), else 5 to 30 °C."""
    for one in heated:
        low, high = number(one.attributes.get("min_temp")), number(one.attributes.get("max_temp"))
        if low is not None and high is not None and high > FAHRENHEIT_FROM:
            return low <= value <= high
    return 5 <= value <= 30


def fits(intent: str, value: Value) -> bool:
    """Whether a value is of the kind that an intent takes."""
    if intent == "HassClimateSetTemperature":
        return value.kind in (DEGREES, NUMBER)
    if intent == "HassClimateSetMode":
        return value.kind == MODE
    return value.kind in (PERCENT, NUMBER) and 0 <= value.value <= 100


__all__ = ["EVERYTHING", "RESPONSES", "SETTINGS", "SLOT_OF", "STEPS", "bearable", "fits", "together"]
