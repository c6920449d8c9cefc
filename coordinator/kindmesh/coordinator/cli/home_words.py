"""What people type of a thing, into what its home takes: one word (`on`, `closed`, `21.5`) into the service that makes
it so, `key=value` into attributes of the kind that they are.

An attribute that the thing has keeps its kind, and what does not fit is refused; one that it does not have yet is a
number, true or false when it is written like one, else text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from kindmesh.capabilities.home.model import Entity
from kindmesh.capabilities.home.services import service_domain, services_of
from kindmesh.coordinator.cli.arguments import parse_arguments
from kindmesh.protocol.errors import InvalidInput

_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "on": ("turn_on",),
    "off": ("turn_off",),
    "open": ("open_cover", "open_valve", "open"),
    "opened": ("open_cover", "open_valve", "open"),
    "close": ("close_cover", "close_valve"),
    "closed": ("close_cover", "close_valve"),
    "locked": ("lock",),
    "unlocked": ("unlock",),
    "play": ("media_play",),
    "playing": ("media_play",),
    "pause": ("media_pause", "pause"),
    "paused": ("media_pause", "pause"),
    "stop": ("media_stop", "stop_cover", "stop_valve", "stop"),
    "start": ("start", "start_mowing"),
    "active": ("start",),
    "idle": ("cancel", "stop", "media_stop"),
    "cleaning": ("start",),
    "mowing": ("start_mowing",),
    "docked": ("return_to_base", "dock"),
    "dock": ("return_to_base", "dock"),
    "press": ("press",),
    "armed_home": ("alarm_arm_home",),
    "armed_away": ("alarm_arm_away",),
    "armed_night": ("alarm_arm_night",),
    "disarmed": ("alarm_disarm",),
}
_PLAIN: Final = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?|true|false")
"""JSON's numbers, such as a person writes, and its two words."""
_NUMBERS: Final[dict[str, tuple[str, str, float]]] = {
    "light": ("turn_on", "brightness_pct", 1),
    "cover": ("set_cover_position", "position", 1),
    "valve": ("set_valve_position", "position", 1),
    "fan": ("set_percentage", "percentage", 1),
    "climate": ("set_temperature", "temperature", 1),
    "water_heater": ("set_temperature", "temperature", 1),
    "humidifier": ("set_humidity", "humidity", 1),
    "media_player": ("volume_set", "volume_level", 0.01),
    "number": ("set_value", "value", 1),
    "input_number": ("set_value", "value", 1),
    "counter": ("set_value", "value", 1),
}
_TEXTS: Final[dict[str, tuple[str, str]]] = {
    "climate": ("set_hvac_mode", "hvac_mode"),
    "select": ("select_option", "option"),
    "input_select": ("select_option", "option"),
    "text": ("set_value", "value"),
    "input_text": ("set_value", "value"),
    "timer": ("start", "duration"),
    "todo": ("add_item", "item"),
}


def service_for(entity: Entity, word: str) -> tuple[str, dict[str, Any]]:
    """The service and its data that make `entity` what `word` says: a state, a verb of a service (`toggle`), or a
    number (percent, degrees).

    Raises:
        InvalidInput: nothing does; the hint names the services there are.
    """
    domain = service_domain(entity.id)
    mine = services_of(entity)
    for verb in (word, *_WORDS.get(word.lower(), ())):
        if f"{domain}.{verb}" in mine:
            return f"{domain}.{verb}", {}
    number = _number(word)
    if number is not None and domain in _NUMBERS:
        verb, field, scale = _NUMBERS[domain]
        return f"{domain}.{verb}", {field: number * scale}
    if domain in _TEXTS:
        verb, field = _TEXTS[domain]
        return f"{domain}.{verb}", {field: word}
    hint = f"It has {', '.join(mine)}."[:500] if mine else "It only tells something."
    raise InvalidInput(f"{entity.name} cannot be set to {word[:60]!r}", field="state", hint=hint)


def attributes_for(entity: Entity, words: Sequence[str]) -> dict[str, Any]:
    """The attributes that `words` (`key=value`, see `arguments`) tell of a thing.

    Raises:
        InvalidInput: not such words, or a value does not fit what the thing has; the attribute is named.
    """
    known = {name: {"type": kind} for name, value in entity.attributes.items() if (kind := _kind(value))}
    given = parse_arguments(words, known, _no_files)
    return {name: _read(entity.attributes.get(name), value) for name, value in given.items()}


def _kind(value: Any) -> str:
    """What a value is, in the words of a manifest; empty for nothing at all."""
    if isinstance(value, bool):
        return "boolean"
    kinds = {int: "number", float: "number", str: "text", list: "list", dict: "object"}
    return kinds.get(type(value), "")


def _read(before: Any, value: Any) -> Any:
    if before is None and isinstance(value, str) and _PLAIN.fullmatch(value):
        value = json.loads(value)
    # What was written without a fraction is shown without one.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _no_files(path: Path) -> dict[str, Any]:
    raise InvalidInput(f"no attribute is a file ({path.name})", field="attributes")


def _number(word: str) -> float | None:
    try:
        return float(word.rstrip("%"))
    except ValueError:
        return None


__all__ = ["attributes_for", "service_for"]
