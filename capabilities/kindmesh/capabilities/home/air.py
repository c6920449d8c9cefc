"""Warmth and air: thermostats, fans, humidifiers, water heaters.

A thermostat's state is its mode; temperatures are in the unit that the inventory uses and are held to the entity's own
bounds. Where `hvac_action` is told it follows what the mode and the temperatures imply.
Source: https://www.home-assistant.io/integrations/climate/, .../fan/, .../humidifier/, .../water_heater/.
"""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec

from kindmesh.capabilities.home.model import Entity
from kindmesh.capabilities.home.service_table import (
    Data,
    Service,
    amend,
    cannot,
    choice,
    known,
    limit,
    measure,
    number,
    table,
    truth,
    within,
    word,
)
from kindmesh.capabilities.home.switches import toggle, turn_off, turn_on
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.manifest import Field

HVAC_MODES: Final = ("off", "heat", "cool", "heat_cool", "auto", "dry", "fan_only")


def _acting(entity: Entity) -> Entity:
    """The thermostat with the `hvac_action` that follows from the rest; only where it tells one."""
    if not known(entity, "hvac_action"):
        return entity
    now, mode = limit(entity, "current_temperature"), entity.state
    low = limit(entity, "target_temp_low") if mode == "heat_cool" else limit(entity, "temperature")
    high = limit(entity, "target_temp_high") if mode == "heat_cool" else limit(entity, "temperature")
    action = "idle"
    if mode in ("off", "fan_only"):
        action = {"off": "off", "fan_only": "fan"}[mode]
    elif mode == "dry":
        action = "drying"
    elif now is not None and low is not None and now < low and mode in ("heat", "heat_cool", "auto"):
        action = "heating"
    elif now is not None and high is not None and now > high and mode in ("cool", "heat_cool", "auto"):
        action = "cooling"
    return amend(entity, {"hvac_action": action})


def _temperatures(entity: Entity, data: Data) -> dict[str, Any]:
    low, high = limit(entity, "min_temp"), limit(entity, "max_temp")
    names = [name for name in ("temperature", "target_temp_low", "target_temp_high") if name in data]
    if not names:
        raise InvalidInput(
            "no temperature is given", field="data.temperature", hint="Such as temperature=21."
        )
    found = {name: within(entity, data[name], low, high, name) for name in names}
    if found.get("target_temp_low", -math.inf) > found.get("target_temp_high", math.inf):
        raise InvalidInput("the lower temperature is above the upper one", field="data.target_temp_low")
    return found


def _set_temperature(entity: Entity, data: Data, now_ms: int) -> Entity:
    mode = choice(entity, data["hvac_mode"], "hvac_modes", "hvac_mode") if "hvac_mode" in data else None
    return _acting(amend(entity, _temperatures(entity, data), mode))


def _set_mode(entity: Entity, data: Data, now_ms: int) -> Entity:
    return _acting(amend(entity, {}, choice(entity, data["hvac_mode"], "hvac_modes", "hvac_mode")))


def _climate_on(entity: Entity, data: Data, now_ms: int) -> Entity:
    if entity.state not in ("off", "unknown"):
        return entity
    modes = entity.attributes.get("hvac_modes")
    modes = modes if isinstance(modes, list) and modes else ["heat"]
    mode = next((mode for mode in ("heat_cool", "heat", "cool") if mode in modes), None)
    mode = mode or next((str(mode) for mode in modes if mode != "off"), None)
    if mode is None:
        raise cannot(entity, "be switched on")
    return _acting(amend(entity, {}, mode))


def _climate_off(entity: Entity, data: Data, now_ms: int) -> Entity:
    return _acting(amend(entity, {}, "off"))


def _climate_toggle(entity: Entity, data: Data, now_ms: int) -> Entity:
    return (_climate_on if entity.state == "off" else _climate_off)(entity, data, now_ms)


def _listed(entity: Entity, data: Data, field: str, listed: str) -> Entity:
    return amend(entity, {field: choice(entity, data[field], listed, field)})


def _fan_mode(entity: Entity, data: Data, now_ms: int) -> Entity:
    return _listed(entity, data, "fan_mode", "fan_modes")


def _preset(entity: Entity, data: Data, now_ms: int) -> Entity:
    return _listed(entity, data, "preset_mode", "preset_modes")


def _swing(entity: Entity, data: Data, now_ms: int) -> Entity:
    return _listed(entity, data, "swing_mode", "swing_modes")


def _humidity(entity: Entity, data: Data, now_ms: int) -> Entity:
    low, high = limit(entity, "min_humidity"), limit(entity, "max_humidity")
    return amend(entity, {"humidity": within(entity, data["humidity"], low, high, "humidity")})


def _speed(entity: Entity, percent: float) -> Entity:
    """At the next speed at or above `percent` that the fan has; 0 is off."""
    percent = min(100, max(0, percent))
    step = measure(entity, "percentage_step", 0)
    if 0 < step <= 100:
        percent = min(100, math.ceil(round(percent / step, 6)) * step)
    told: dict[str, Any] = {"percentage": round(percent)}
    if entity.attributes.get("preset_mode") is not None:
        told["preset_mode"] = None
    return amend(entity, told, "on" if percent else "off")


def _fan_on(entity: Entity, data: Data, now_ms: int) -> Entity:
    if "preset_mode" in data:
        return _fan_preset(entity, data, now_ms)
    if "percentage" in data:
        return _speed(entity, data["percentage"])
    if known(entity, "percentage") and not measure(entity, "percentage", 0):
        return _speed(entity, 50)
    return amend(entity, {}, "on")


def _fan_off(entity: Entity, data: Data, now_ms: int) -> Entity:
    told: dict[str, Any] = {"percentage": 0} if known(entity, "percentage") else {}
    return amend(entity, told | ({"preset_mode": None} if known(entity, "preset_mode") else {}), "off")


def _fan_toggle(entity: Entity, data: Data, now_ms: int) -> Entity:
    return (_fan_off if entity.state == "on" else _fan_on)(entity, data, now_ms)


def _set_percentage(entity: Entity, data: Data, now_ms: int) -> Entity:
    return _speed(entity, data["percentage"])


def _faster(entity: Entity, data: Data, direction: int) -> Entity:
    step = data.get("percentage_step", measure(entity, "percentage_step", 10))
    now = measure(entity, "percentage", 0) if entity.state == "on" else 0
    return _speed(entity, now + direction * step)


def _increase(entity: Entity, data: Data, now_ms: int) -> Entity:
    return _faster(entity, data, 1)


def _decrease(entity: Entity, data: Data, now_ms: int) -> Entity:
    return _faster(entity, data, -1)


def _fan_preset(entity: Entity, data: Data, now_ms: int) -> Entity:
    return amend(_preset(entity, data, now_ms), {}, "on")


def _oscillate(entity: Entity, data: Data, now_ms: int) -> Entity:
    return amend(entity, {"oscillating": data["oscillating"]})


def _direction(entity: Entity, data: Data, now_ms: int) -> Entity:
    return amend(entity, {"direction": data["direction"]})


def _mode(entity: Entity, data: Data, now_ms: int) -> Entity:
    return _listed(entity, data, "mode", "available_modes")


def _heat_water(entity: Entity, data: Data, now_ms: int) -> Entity:
    mode = (
        choice(entity, data["operation_mode"], "operation_list", "operation_mode")
        if "operation_mode" in data
        else None
    )
    return amend(entity, _temperatures(entity, data), mode)


def _operation_mode(entity: Entity, data: Data, now_ms: int) -> Entity:
    return amend(entity, {}, choice(entity, data["operation_mode"], "operation_list", "operation_mode"))


def _water_on(entity: Entity, data: Data, now_ms: int) -> Entity:
    if entity.state not in ("off", "unknown"):
        return entity
    modes = entity.attributes.get("operation_list")
    modes = [str(mode) for mode in modes if mode != "off"] if isinstance(modes, list) else []
    return amend(entity, {}, modes[0] if modes else "on")


def _away(entity: Entity, data: Data, now_ms: int) -> Entity:
    return amend(entity, {"away_mode": "on" if data["away_mode"] else "off"})


_WARMTH: Final = number("temperature", "the temperature wanted", -50, 250)
_RANGE: Final = (
    number("target_temp_low", "not below", -50, 250),
    number("target_temp_high", "not above", -50, 250),
)
_HVAC: Final = word("hvac_mode", ", ".join(HVAC_MODES), choices=HVAC_MODES)
_SPEED: Final = number("percentage", "speed in percent; 0 is off", 0, 100)
_STEP: Final = (number("percentage_step", "by so many percent", 0, 100),)
_PRESET: Final = word("preset_mode", "one of preset_modes")


def _must(field: Field) -> tuple[Field, ...]:
    return (msgspec.structs.replace(field, required=True),)


AIR: Final = table(
    Service(
        "climate.set_temperature",
        "Set the temperature wanted",
        _set_temperature,
        (_WARMTH, *_RANGE, _HVAC),
        1 | 2,
    ),
    Service("climate.set_hvac_mode", "Heat, cool, off", _set_mode, _must(_HVAC)),
    Service(
        "climate.set_fan_mode",
        "Choose its fan",
        _fan_mode,
        (word("fan_mode", "one of fan_modes", required=True),),
        8,
    ),
    Service("climate.set_preset_mode", "Choose a preset", _preset, _must(_PRESET), 16),
    Service(
        "climate.set_swing_mode",
        "Swing",
        _swing,
        (word("swing_mode", "one of swing_modes", required=True),),
        32,
    ),
    Service(
        "climate.set_humidity",
        "Set the humidity wanted",
        _humidity,
        (number("humidity", "percent", 0, 100, required=True),),
        4,
    ),
    Service("climate.turn_on", "Switch on", _climate_on),
    Service("climate.turn_off", "Switch off", _climate_off),
    Service("climate.toggle", "The other way", _climate_toggle, idempotent=False),
    Service("fan.turn_on", "Switch on", _fan_on, (_SPEED, _PRESET)),
    Service("fan.turn_off", "Switch off", _fan_off),
    Service("fan.toggle", "The other way", _fan_toggle, idempotent=False),
    Service("fan.set_percentage", "Set its speed", _set_percentage, _must(_SPEED), 1),
    Service("fan.increase_speed", "Faster", _increase, _STEP, 1, idempotent=False),
    Service("fan.decrease_speed", "Slower", _decrease, _STEP, 1, idempotent=False),
    Service("fan.set_preset_mode", "Choose a preset", _fan_preset, _must(_PRESET), 8),
    Service("fan.oscillate", "Turn from side to side", _oscillate, (truth("oscillating", "whether"),), 2),
    Service(
        "fan.set_direction",
        "Which way it turns",
        _direction,
        (word("direction", "forward, reverse", required=True, choices=("forward", "reverse")),),
        4,
    ),
    Service("humidifier.turn_on", "Switch on", turn_on),
    Service("humidifier.turn_off", "Switch off", turn_off),
    Service("humidifier.toggle", "The other way", toggle, idempotent=False),
    Service(
        "humidifier.set_humidity",
        "Set the humidity wanted",
        _humidity,
        (number("humidity", "percent", 0, 100, required=True),),
    ),
    Service(
        "humidifier.set_mode",
        "Choose a mode",
        _mode,
        (word("mode", "one of available_modes", required=True),),
        1,
    ),
    Service(
        "water_heater.set_temperature",
        "Set the temperature wanted",
        _heat_water,
        (*_must(_WARMTH), word("operation_mode", "one of operation_list")),
        1,
    ),
    Service(
        "water_heater.set_operation_mode",
        "Choose a mode",
        _operation_mode,
        (word("operation_mode", "one of operation_list", required=True),),
        2,
    ),
    Service("water_heater.set_away_mode", "Away or not", _away, (truth("away_mode", "whether"),), 4),
    Service("water_heater.turn_on", "Switch on", _water_on, feature=8),
    Service("water_heater.turn_off", "Switch off", turn_off, feature=8),
)

__all__ = ["AIR", "HVAC_MODES"]
