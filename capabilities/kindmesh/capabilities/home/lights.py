"""Lights: `light.turn_on` with brightness and colour, `turn_off`, `toggle`, as Home Assistant's light component does.

Brightness is 0..255; percentages are rounded to it. A light that is off reports no brightness and no colour. What a
light can do is told by `supported_color_modes`; a light that lists none is taken to do everything.
Source: https://www.home-assistant.io/integrations/light/ and https://developers.home-assistant.io/docs/core/entity/light.
"""

from __future__ import annotations

from typing import Any, Final

from kindmesh.capabilities.home.colours import hs_of, rgb_from_hs, rgb_of
from kindmesh.capabilities.home.model import Entity
from kindmesh.capabilities.home.service_table import (
    Data,
    Service,
    amend,
    cannot,
    choice,
    known,
    measure,
    number,
    numbers,
    table,
    whole,
    word,
)
from kindmesh.protocol.errors import InvalidInput

_LEVELS: Final = ("brightness", "brightness_pct", "brightness_step", "brightness_step_pct")
_COLOURS: Final = ("rgb_color", "hs_color", "color_name")
_COLOUR_MODES: Final = frozenset({"hs", "rgb", "rgbw", "rgbww", "xy"})
_SHOWN: Final = (
    "brightness",
    "color_mode",
    "rgb_color",
    "hs_color",
    "xy_color",
    "color_temp_kelvin",
    "effect",
)
_KELVIN_RANGE: Final = (2_000, 6_535)


def _modes(entity: Entity) -> frozenset[str]:
    modes = entity.attributes.get("supported_color_modes")
    return frozenset(str(mode) for mode in modes) if isinstance(modes, list) else frozenset()


def light_lacks(entity: Entity, data: Data) -> str:
    """What of the data this light cannot do, in words; empty when it can do all."""
    modes = _modes(entity)
    if not modes:
        return ""
    if any(name in data for name in _COLOURS) and not modes & _COLOUR_MODES:
        return "show colours"
    if "color_temp_kelvin" in data and not modes & (_COLOUR_MODES | {"color_temp"}):
        return "change between warm and cold white"
    if any(name in data for name in _LEVELS) and modes <= {"onoff", "unknown"}:
        return "be dimmed"
    return ""


def _level(entity: Entity, data: Data) -> int | None:
    """The brightness that is asked for, 0..255; None: none is asked for."""
    now = measure(entity, "brightness", 0) if entity.state == "on" else 0
    if "brightness" in data:
        level = data["brightness"]
    elif "brightness_pct" in data:
        level = round(255 * data["brightness_pct"] / 100)
    elif "brightness_step" in data:
        level = now + data["brightness_step"]
    elif "brightness_step_pct" in data:
        level = now + round(255 * data["brightness_step_pct"] / 100)
    else:
        return None
    return int(min(255, max(0, level)))


def _colour(entity: Entity, data: Data) -> dict[str, Any]:
    modes = _modes(entity)
    if "color_temp_kelvin" in data:
        low = int(measure(entity, "min_color_temp_kelvin", _KELVIN_RANGE[0]))
        high = int(measure(entity, "max_color_temp_kelvin", _KELVIN_RANGE[1]))
        kelvin = min(max(low, high), max(low, data["color_temp_kelvin"]))
        shown = {
            name: None
            for name in ("rgb_color", "hs_color", "xy_color")
            if entity.attributes.get(name) is not None
        }
        return {"color_temp_kelvin": kelvin, **_mode(entity, "color_temp"), **shown}
    if "color_name" in data:
        rgb = rgb_of(data["color_name"])
    elif "rgb_color" in data:
        rgb = _rgb(data["rgb_color"])
    elif "hs_color" in data:
        hue, saturation = data["hs_color"]
        if not (0 <= hue <= 360 and 0 <= saturation <= 100):
            raise InvalidInput(
                "hs_color is outside its range",
                field="data.hs_color",
                hint="Hue 0 to 360, saturation 0 to 100.",
            )
        rgb = rgb_from_hs(hue, saturation)
    else:
        return {}
    found: dict[str, Any] = {"rgb_color": list(rgb)}
    if known(entity, "hs_color") or "hs" in modes:
        found["hs_color"] = list(hs_of(rgb))
    if entity.attributes.get("color_temp_kelvin") is not None:
        found["color_temp_kelvin"] = None
    mode = next((mode for mode in ("rgbww", "rgbw", "rgb", "hs", "xy") if mode in modes), "rgb")
    return {**found, **_mode(entity, mode)}


def _rgb(given: list[float]) -> tuple[int, int, int]:
    if not all(0 <= part <= 255 for part in given):
        raise InvalidInput(
            "rgb_color is outside its range", field="data.rgb_color", hint="Each from 0 to 255."
        )
    red, green, blue = (round(part) for part in given)
    return red, green, blue


def _mode(entity: Entity, mode: str) -> dict[str, Any]:
    told = known(entity, "color_mode") or _modes(entity)
    return {"color_mode": mode} if told else {}


def _turn_on(entity: Entity, data: Data, now_ms: int) -> Entity:
    if lacking := light_lacks(entity, data):
        raise cannot(entity, lacking)
    level = _level(entity, data)
    if level == 0:
        return _turn_off(entity, data, now_ms)
    told = _colour(entity, data)
    if level is not None:
        told["brightness"] = level
    elif entity.state != "on" and _dims(entity) and not measure(entity, "brightness", 0):
        told["brightness"] = 255
    if "effect" in data:
        told["effect"] = choice(entity, data["effect"], "effect_list", "effect")
    if entity.state != "on" and "color_mode" not in told and known(entity, "color_mode"):
        told["color_mode"] = entity.attributes["color_mode"] or _plain_mode(entity)
    return amend(entity, told, "on")


def _plain_mode(entity: Entity) -> str | None:
    modes = _modes(entity)
    return next((mode for mode in ("color_temp", "brightness", "hs", "rgb", "onoff") if mode in modes), None)


def _dims(entity: Entity) -> bool:
    modes = _modes(entity)
    return bool(modes - {"onoff", "unknown"}) or (not modes and known(entity, "brightness"))


def _turn_off(entity: Entity, data: Data, now_ms: int) -> Entity:
    hidden = {name: None for name in _SHOWN if entity.attributes.get(name) is not None}
    return amend(entity, hidden, "off")


def _toggle(entity: Entity, data: Data, now_ms: int) -> Entity:
    return _turn_off(entity, data, now_ms) if entity.state == "on" else _turn_on(entity, data, now_ms)


_ON_FIELDS: Final = (
    whole("brightness", "0 to 255; 0 is off", 0, 255),
    number("brightness_pct", "percent; 0 is off", 0, 100),
    whole("brightness_step", "so much brighter or darker", -255, 255),
    number("brightness_step_pct", "so many percent brighter or darker", -100, 100),
    numbers("rgb_color", "red, green, blue, 0 to 255", 3),
    numbers("hs_color", "hue 0 to 360, saturation 0 to 100", 2),
    word("color_name", "a CSS colour"),
    whole("color_temp_kelvin", "warm (2000) to cold (6500) white", 1_000, 40_000),
    word("effect", "one of effect_list"),
    word("flash", "short or long", choices=("short", "long")),
    number("transition", "seconds", 0, 6_553),
)
LIGHTS: Final = table(
    Service("light.turn_on", "Switch on, dim, colour", _turn_on, _ON_FIELDS),
    Service("light.turn_off", "Switch off", _turn_off, _ON_FIELDS[-2:]),
    Service("light.toggle", "The other way", _toggle, _ON_FIELDS, idempotent=False),
)

__all__ = ["LIGHTS", "light_lacks"]
