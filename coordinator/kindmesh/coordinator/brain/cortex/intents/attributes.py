"""What a thing says about itself beside its state: how bright, how loud, how far open, set to what, playing what.

A row of the table names the attribute and how it is told. What a thing does not say is said so, never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from kindmesh.capabilities.home.model import Entity, Home
from kindmesh.coordinator.brain.cortex.intents.colours import colour_name
from kindmesh.coordinator.brain.cortex.intents.household import class_of, known, number, of_kind
from kindmesh.coordinator.brain.cortex.intents.truths import each_so
from kindmesh.coordinator.brain.cortex.intents.words import joined, say, state_word, words

MAIN: Final[Mapping[str, str]] = {
    "light": "brightness", "climate": "target", "water_heater": "target", "humidifier": "humidity", "fan": "speed",
    "cover": "position", "valve": "position", "media_player": "volume", "vacuum": "suction",
}  # fmt: skip
"""What "set to" asks for, for each domain."""
_OFF: Final = frozenset({"off", "standby"})


def told(one: Entity, asked: str, home: Home, language: str) -> str:
    """A sentence about what was asked of a thing (a key of the table, or `setting`)."""
    key = MAIN.get(one.domain, "") if asked == "setting" else asked
    if not known(one):
        return say(language, "unknown", {"name": one.name})
    make = _TABLE.get(key)
    found = make(one, home, language) if make is not None else ""
    return found or say(language, "says_not", {"name": one.name})


def _state(one: Entity, language: str) -> str:
    state = state_word(language, one.domain, class_of(one), one.state)
    return say(language, "is_state", {"name": one.name, "state": state})


def _numeric(
    attribute: str, key: str, factor: float = 1.0, *, off: bool = False
) -> Callable[[Entity, Home, str], str]:
    """An attribute that is a number; with `off`, a thing that is off has none."""

    def make(one: Entity, home: Home, language: str) -> str:
        if off and one.state.casefold() in _OFF:
            return _state(one, language)
        found = number(one.attributes.get(attribute))
        if found is None:
            return _state(one, language) if off else ""
        value = round(found * factor, 1)
        if attribute != "temperature":
            value = round(value)
        return say(language, key, {"name": one.name, "value": f"{value:g}"})

    return make


def _text(attribute: str, key: str) -> Callable[[Entity, Home, str], str]:
    def make(one: Entity, home: Home, language: str) -> str:
        found = one.attributes.get(attribute)
        return say(language, key, {"name": one.name, "value": str(found)}) if found not in (None, "") else ""

    return make


def _target(one: Entity, home: Home, language: str) -> str:
    said = _numeric("temperature", "at_degrees")(one, home, language)
    if not said:
        low, high = (number(one.attributes.get(f"target_temp_{end}")) for end in ("low", "high"))
        if low is not None and high is not None:
            said = say(language, "at_degrees", {"name": one.name, "value": f"{low:g}-{high:g}"})
    off = _state(one, language) if one.state.casefold() in _OFF else ""
    return " ".join(part for part in (off, said) if part)


def _position(one: Entity, home: Home, language: str) -> str:
    return _numeric("current_position", "open_percent")(one, home, language) or _state(one, language)


def _mode(one: Entity, home: Home, language: str) -> str:
    preset = one.attributes.get("preset_mode") or one.attributes.get("mode")
    if one.domain in ("fan", "humidifier"):
        return _text("preset_mode" if one.domain == "fan" else "mode", "in_mode")(one, home, language)
    state = state_word(language, one.domain, class_of(one), one.state)
    value = f"{state} ({preset})" if preset and preset != "none" else state
    return say(language, "in_mode", {"name": one.name, "value": value})


def _battery(one: Entity, home: Home, language: str) -> str:
    if one.domain == "sensor" and class_of(one) == "battery":
        return say(language, "is_degrees", {"name": one.name, "value": f"{one.state} %"})
    own = number(one.attributes.get("battery_level", one.attributes.get("battery")))
    if own is None:
        beside = [
            sensor for sensor in of_kind(home, ("sensor",), ("battery",))
            if f" {one.name.casefold()} " in f" {sensor.name.casefold()} " and known(sensor)
        ]  # fmt: skip
        own = number(beside[0].state) if len(beside) == 1 else None
    return say(language, "charged", {"name": one.name, "value": f"{own:g}"}) if own is not None else ""


def _playing(one: Entity, home: Home, language: str) -> str:
    state = state_word(language, one.domain, class_of(one), one.state)
    title, artist = one.attributes.get("media_title"), one.attributes.get("media_artist")
    if one.state not in ("playing", "paused", "buffering", "on") or (one.state == "on" and not title):
        return say(language, "plays_not", {"name": one.name, "value": state})
    if not title:
        title, artist = one.attributes.get("source"), None
    if not title:
        return say(language, "plays_unknown" if one.state == "playing" else "plays_not",
                   {"name": one.name, "value": state})  # fmt: skip
    value = say(language, "by", {"title": str(title), "artist": str(artist)}) if artist else str(title)
    if one.state == "paused":
        value = f"{value} ({state})"
    return say(language, "plays", {"name": one.name, "value": value})


def _source(one: Entity, home: Home, language: str) -> str:
    if one.state.casefold() in _OFF:
        return _state(one, language)
    return _text("source", "shows")(one, home, language)


def _muted(one: Entity, home: Home, language: str) -> str:
    found = one.attributes.get("is_volume_muted")
    key = "muted" if found is True else "muted_not"
    return say(language, key, {"name": one.name}) if isinstance(found, bool) else ""


def _colour(one: Entity, home: Home, language: str) -> str:
    if one.state.casefold() in _OFF:
        return _state(one, language)
    named = one.attributes.get("color_name")
    if named:
        return say(language, "in_colour", {"name": one.name, "value": str(named)})
    warm = one.attributes.get("color_mode") == "color_temp"
    called = "" if warm else colour_name(one, language)
    if called:
        return say(language, "in_colour", {"name": one.name, "value": called})
    return _numeric("color_temp_kelvin", "at_kelvin")(one, home, language)


_TABLE: Final[Mapping[str, Callable[[Entity, Home, str], str]]] = {
    "brightness": _numeric("brightness", "at_percent", 100 / 255, off=True),
    "volume": _numeric("volume_level", "at_percent", 100),
    "position": _position,
    "speed": _numeric("percentage", "at_percent", off=True),
    "humidity": _numeric("humidity", "at_percent"),
    "target": _target,
    "kelvin": _numeric("color_temp_kelvin", "at_kelvin", off=True),
    "suction": _text("fan_speed", "in_mode"),
    "mode": _mode,
    "battery": _battery,
    "playing": _playing,
    "source": _source,
    "muted": _muted,
    "colour": _colour,
}


def about(entities: Iterable[Entity], asked: str, home: Home, language: str) -> str:
    """The same of several things; of players asked what they play, those that play."""
    pool = list(entities)
    if asked == "playing" and len(pool) > 1:
        pool = [one for one in pool if one.state == "playing"] or pool
    return " ".join(told(one, asked, home, language) for one in pool[:4])


def sensed(entities: Iterable[Entity], language: str) -> str:
    """Whether any of these sensors senses what it is for."""
    pool = [one for one in entities if known(one)]
    if not pool:
        return say(language, "not_sensed")
    active = [one for one in pool if one.state == "on"]
    shown = active or pool
    return each_so(shown, "is_so" if active else "is_so_not", language)


def low(home: Home, language: str) -> str:
    """Which batteries are low."""
    limit = float(words(language).get("asking", {}).get("low_percent", 20))
    levels = [(one.name, number(one.state)) for one in of_kind(home, ("sensor",), ("battery",))]
    levels += [
        (one.name, number(one.attributes.get("battery_level"))) for one in home.entities.values()
        if one.domain != "sensor"
    ]  # fmt: skip
    known_ = [(name, level) for name, level in levels if level is not None]
    flags = of_kind(home, ("binary_sensor",), ("battery",))
    if not known_ and not flags:
        return say(language, "low_unknown")
    found = [f"{name} ({level:g} %)" for name, level in known_ if level < limit]
    found += [one.name for one in flags if one.state == "on"]
    return (
        say(language, "low_some", {"names": joined(language, found)}) if found else say(language, "low_none")
    )


__all__ = ["MAIN", "about", "low", "sensed", "told"]
