"""From an intent and its entities to calls of services, named as Home Assistant names them.

A table says which service an intent is for each domain; small functions make the data. What a thing cannot do is not
attempted when a whole area is meant; when it was named itself, the attempt is made and refused by whoever owns it.
Calls that are the same operation and service become one `Act`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from kindmesh.capabilities.home.model import Entity, Home
from kindmesh.capabilities.home.risk import operation_for
from kindmesh.capabilities.home.services import services_of
from kindmesh.coordinator.brain.cortex.intents.household import can, number
from kindmesh.coordinator.brain.cortex.intents.meaning import Meaning, Slot, Target, heard
from kindmesh.coordinator.brain.cortex.terms import Act, Clause, words_of

VOLUME_STEP: Final = 10
"""Points of a hundred that "louder" is."""


_Made = Callable[[Meaning, tuple[Entity, ...], bool], tuple["Call", ...]]


class Call(msgspec.Struct, frozen=True):
    """A service for entities; `words`: for names in `data` the positions in the clause of the words they came from."""

    service: str
    entities: tuple[Entity, ...]
    data: dict[str, Any] = {}
    words: dict[str, tuple[int, ...]] = {}


SERVICES: Final[Mapping[str, Mapping[str, str]]] = {
    "HassTurnOn": {
        "light": "light.turn_on", "switch": "switch.turn_on", "fan": "fan.turn_on", "climate": "climate.turn_on",
        "media_player": "media_player.turn_on", "input_boolean": "input_boolean.turn_on", "scene": "scene.turn_on",
        "script": "script.turn_on", "humidifier": "humidifier.turn_on", "siren": "siren.turn_on",
        "water_heater": "water_heater.turn_on", "remote": "remote.turn_on", "camera": "camera.turn_on",
        "automation": "automation.turn_on", "button": "button.press", "input_button": "input_button.press",
        "cover": "cover.open_cover", "valve": "valve.open_valve", "lock": "lock.lock", "vacuum": "vacuum.start",
        "lawn_mower": "lawn_mower.start_mowing",
    },
    "HassTurnOff": {
        "light": "light.turn_off", "switch": "switch.turn_off", "fan": "fan.turn_off", "climate": "climate.turn_off",
        "media_player": "media_player.turn_off", "input_boolean": "input_boolean.turn_off",
        "script": "script.turn_off", "humidifier": "humidifier.turn_off", "siren": "siren.turn_off",
        "water_heater": "water_heater.turn_off", "remote": "remote.turn_off", "camera": "camera.turn_off",
        "automation": "automation.turn_off", "cover": "cover.close_cover", "valve": "valve.close_valve",
        "lock": "lock.unlock", "vacuum": "vacuum.return_to_base", "lawn_mower": "lawn_mower.dock",
    },
    "HassToggle": {
        "light": "light.toggle", "switch": "switch.toggle", "fan": "fan.toggle",
        "input_boolean": "input_boolean.toggle", "media_player": "media_player.toggle", "cover": "cover.toggle",
    },
    "HassStopMoving": {"cover": "cover.stop_cover", "valve": "valve.stop_valve"},
    "HassMediaPause": {"media_player": "media_player.media_pause"},
    "HassMediaStop": {"media_player": "media_player.media_stop"},
    "HassMediaUnpause": {"media_player": "media_player.media_play"},
    "HassMediaNext": {"media_player": "media_player.media_next_track"},
    "HassMediaPrevious": {"media_player": "media_player.media_previous_track"},
    "HassLawnMowerStartMowing": {"lawn_mower": "lawn_mower.start_mowing"},
    "HassLawnMowerDock": {"lawn_mower": "lawn_mower.dock"},
    "HassLawnMowerPause": {"lawn_mower": "lawn_mower.pause"},
    "HassVacuumStart": {"vacuum": "vacuum.start"},
    "HassVacuumReturnToBase": {"vacuum": "vacuum.return_to_base"},
    "HassVacuumPause": {"vacuum": "vacuum.pause"},
    "HassVacuumStop": {"vacuum": "vacuum.stop"},
    "HassVacuumLocate": {"vacuum": "vacuum.locate"},
    "HassArm": {"alarm_control_panel": "alarm_control_panel.alarm_arm_away"},
    "HassArmHome": {"alarm_control_panel": "alarm_control_panel.alarm_arm_home"},
    "HassArmNight": {"alarm_control_panel": "alarm_control_panel.alarm_arm_night"},
    "HassDisarm": {"alarm_control_panel": "alarm_control_panel.alarm_disarm"},
}  # fmt: skip
"""Service of an intent for a domain, where no data is needed."""

_SWITCHED: Final = ("light", "switch", "fan", "media_player", "input_boolean", "climate", "humidifier")
DOMAINS: Final[Mapping[str, tuple[str, ...]]] = {
    "HassTurnOn": (*_SWITCHED, "cover", "valve", "lock", "scene", "script", "button", "input_button", "siren",
                   "water_heater", "remote", "automation", "vacuum", "lawn_mower", "camera"),
    "HassTurnOff": (*_SWITCHED, "cover", "valve", "lock", "siren", "water_heater", "remote", "automation", "script",
                    "vacuum", "lawn_mower", "camera"),
    "HassToggle": ("light", "switch", "fan", "input_boolean", "media_player", "cover"),
    "HassStopMoving": ("cover", "valve"),
    "HassLightSet": ("light",),
    "HassLightStep": ("light",),
    "HassLightWarmthStep": ("light",),
    "HassHumidifierSetpoint": ("humidifier",),
    "HassHumidifierStep": ("humidifier",),
    "HassWaterHeaterSetTemperature": ("water_heater",),
    "HassWaterHeaterStep": ("water_heater",),
    "HassClimateSetTemperature": ("climate",),
    "HassClimateStep": ("climate",),
    "HassClimateSetFanMode": ("climate",),
    "HassClimateSetMode": ("climate",),
    "HassClimateGetTemperature": ("climate", "sensor"),
    "HassFanSetSpeed": ("fan",),
    "HassFanStep": ("fan",),
    "HassFanReverse": ("fan",),
    "HassFanOscillate": ("fan",),
    "HassFanStill": ("fan",),
    "HassMediaShuffle": ("media_player",),
    "HassMediaUnshuffle": ("media_player",),
    "HassSetPosition": ("cover", "valve"),
    "HassSetTilt": ("cover",),
    "HassPositionStep": ("cover",),
    "HassChoose": ("media_player", "light", "vacuum", "fan", "climate", "humidifier", "water_heater", "select",
                   "input_select"),
    "HassSetVolume": ("media_player",),
    "HassSetVolumeRelative": ("media_player",),
    "HassMediaPlayerMute": ("media_player",),
    "HassMediaPlayerUnmute": ("media_player",),
    "HassMediaSearchAndPlay": ("media_player",),
    "HassVacuumCleanArea": ("vacuum",),
    "HassGetWeather": ("weather",),
    "HassListAddItem": ("todo",),
    "HassListCompleteItem": ("todo",),
    "HassListRemoveItem": ("todo",),
    "HassShoppingListAddItem": ("todo",),
    "HassShoppingListCompleteItem": ("todo",),
    **{intent: tuple(by) for intent, by in SERVICES.items() if intent not in (
        "HassTurnOn", "HassTurnOff", "HassToggle", "HassStopMoving")},
}  # fmt: skip
"""Domains that an intent can be about, where the sentence names no kind."""


def calls_for(meaning: Meaning, entities: tuple[Entity, ...], home: Home, named: bool) -> tuple[Call, ...]:
    """The calls that do it. `named`: the things were called by name. An empty tuple: nothing that can be done."""
    maker = _MAKERS.get(meaning.intent)
    if maker is not None:
        return maker(meaning, entities, named)
    table = SERVICES.get(meaning.intent, {})
    by: dict[str, list[Entity]] = {}
    for one in entities:
        service = table.get(one.domain)
        if service is not None:
            by.setdefault(service, []).append(one)
    return tuple(Call(service, tuple(some)) for service, some in by.items())


def _able(entities: tuple[Entity, ...], attribute: str) -> tuple[Entity, ...]:
    return tuple(one for one in entities if can(one, attribute))


def _value(meaning: Meaning, slot: str) -> tuple[Any, tuple[int, ...]]:
    found = meaning.slots.get(slot, Slot(None))
    value = found.value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value, found.words


def _light_set(meaning: Meaning, entities: tuple[Entity, ...], named: bool) -> tuple[Call, ...]:
    data: dict[str, Any] = {}
    words: dict[str, tuple[int, ...]] = {}
    for slot, key in (
        ("brightness", "brightness_pct"),
        ("color", "color_name"),
        ("temperature", "color_temp_kelvin"),
    ):
        value, at = _value(meaning, slot)
        if value is not None:
            data[key], words[key] = value, at
            entities = _able(entities, key)
    if not entities:
        return ()
    if data.get("brightness_pct") == 0:
        return (Call("light.turn_off", entities),)
    kelvin = number(data.get("color_temp_kelvin"))
    if kelvin is None:
        return (Call("light.turn_on", entities, data, words),)
    found: dict[int, list[Entity]] = {}
    for one in entities:
        found.setdefault(_within(one, int(kelvin)), []).append(one)
    return tuple(
        Call("light.turn_on", tuple(some), {**data, "color_temp_kelvin": to}, words)
        for to, some in found.items()
    )


def _within(one: Entity, kelvin: int) -> int:
    """The colour temperature nearest to `kelvin` that a light can have."""
    low, high = (number(one.attributes.get(f"{end}_color_temp_kelvin")) for end in ("min", "max"))
    return int(min(max(kelvin, low if low is not None else kelvin), high if high is not None else kelvin))


def _light_step(meaning: Meaning, entities: tuple[Entity, ...], named: bool) -> tuple[Call, ...]:
    step, at = _value(meaning, "step")
    found: dict[int, list[Entity]] = {}
    for one in _those_on(_able(entities, "brightness_pct")):
        raw = number(one.attributes.get("brightness"))
        now = round(raw / 2.55) if raw is not None else (100 if one.state == "on" else 0)
        if one.state == "off":
            now = 0
        if now == 0 and step < 0:
            continue
        found.setdefault(max(1, min(100, now + step)), []).append(one)
    return tuple(
        Call("light.turn_on", tuple(some), {"brightness_pct": to}, {"brightness_pct": at})
        for to, some in found.items()
    )


def _climate(meaning: Meaning, entities: tuple[Entity, ...], named: bool) -> tuple[Call, ...]:
    data: dict[str, Any] = {}
    words: dict[str, tuple[int, ...]] = {}
    for slot in ("temperature", "hvac_mode"):
        value, at = _value(meaning, slot)
        if value is not None:
            data[slot], words[slot] = value, at
    able = _able(entities, "temperature")
    return (Call("climate.set_temperature", able, data, words),) if able else ()


def _climate_step(meaning: Meaning, entities: tuple[Entity, ...], named: bool) -> tuple[Call, ...]:
    step, at = _value(meaning, "step")
    found: dict[float, list[Entity]] = {}
    for one in _able(entities, "temperature"):
        now = number(one.attributes.get("temperature"))
        if now is None:
            now = number(one.attributes.get("current_temperature"))
        if now is None:
            continue
        low, high = number(one.attributes.get("min_temp")), number(one.attributes.get("max_temp"))
        to = now + step
        to = to if low is None else max(low, to)
        to = to if high is None else min(high, to)
        found.setdefault(to, []).append(one)
    return tuple(
        Call("climate.set_temperature", tuple(some), {"temperature": _whole(to)}, {"temperature": at})
        for to, some in found.items()
    )


def _stepped(service: str, key: str, low: str, high: str) -> _Made:
    """More or less of a number that stands in the attribute `key`, within the attributes `low` and `high`."""

    def make(meaning: Meaning, entities: tuple[Entity, ...], named: bool) -> tuple[Call, ...]:
        step, at = _value(meaning, "step")
        found: dict[float, list[Entity]] = {}
        for one in entities:
            now = number(one.attributes.get(key))
            if now is not None:
                least, most = number(one.attributes.get(low)), number(one.attributes.get(high))
                to = max(now + step, least if least is not None else 0.0)
                found.setdefault(to if most is None else min(to, most), []).append(one)
        return tuple(Call(service, tuple(some), {key: _whole(to)}, {key: at}) for to, some in found.items())

    return make


def _light_warmth(meaning: Meaning, entities: tuple[Entity, ...], named: bool) -> tuple[Call, ...]:
    """Warmer light has fewer kelvin."""
    step, at = _value(meaning, "step")
    key = "color_temp_kelvin"
    found: dict[int, list[Entity]] = {}
    for one in _able(entities, key):
        now = number(one.attributes.get(key))
        found.setdefault(_within(one, int((now if now is not None else 3000) - step)), []).append(one)
    return tuple(Call("light.turn_on", tuple(some), {key: to}, {key: at}) for to, some in found.items())


def _those_on(entities: tuple[Entity, ...]) -> tuple[Entity, ...]:
    """Of several those that are on, if any is: more of what is off is not what was asked for."""
    return tuple(one for one in entities if one.state == "on") or entities


def _whole(value: float) -> float | int:
    return int(value) if float(value).is_integer() else value


def _with(
    service: str, slot: str, key: str
) -> Callable[[Meaning, tuple[Entity, ...], bool], tuple[Call, ...]]:
    def make(meaning: Meaning, entities: tuple[Entity, ...], named: bool) -> tuple[Call, ...]:
        value, at = _value(meaning, slot)
        able = _able(entities, key)
        return (Call(service, able, {key: value}, {key: at}),) if able else ()

    return make


def _fan_step(meaning: Meaning, entities: tuple[Entity, ...], named: bool) -> tuple[Call, ...]:
    """At least one of the fan's own steps in the direction that was asked for: never snapped back."""
    step, at = _value(meaning, "step")
    found: dict[int, list[Entity]] = {}
    for one in _able(entities, "percentage"):
        raw = number(one.attributes.get("percentage"))
        now = (raw if raw is not None else 50) if one.state == "on" else 0
        size = number(one.attributes.get("percentage_step")) or 1.0
        steps = max(1, round(abs(step) / size))
        level = round(now / size) + (steps if step > 0 else -steps)
        to = min(100, round(level * size))
        if to <= 0:  # slower is not off
            to = max(round(size), round(now / 2))
        if (now and to != now and (to > now) == (step > 0)) or (not now and step > 0):
            found.setdefault(to, []).append(one)
    return tuple(
        Call("fan.set_percentage", tuple(some), {"percentage": to}, {"percentage": at})
        for to, some in found.items()
    )


def _position(meaning: Meaning, entities: tuple[Entity, ...], named: bool) -> tuple[Call, ...]:
    value, at = _value(meaning, "position")
    found: list[Call] = []
    for domain, service in (("cover", "cover.set_cover_position"), ("valve", "valve.set_valve_position")):
        able = _able(tuple(one for one in entities if one.domain == domain), "position")
        if able:
            found.append(Call(service, able, {"position": value}, {"position": at}))
    return tuple(found)


def _tilt(meaning: Meaning, entities: tuple[Entity, ...], named: bool) -> tuple[Call, ...]:
    """Only what has slats; its position is left as it is."""
    value, at = _value(meaning, "tilt")
    able = tuple(one for one in entities if one.attributes.get("current_tilt_position") is not None)
    key = "tilt_position"
    return (Call("cover.set_cover_tilt_position", able, {key: value}, {key: at}),) if able else ()


def _position_step(meaning: Meaning, entities: tuple[Entity, ...], named: bool) -> tuple[Call, ...]:
    step, at = _value(meaning, "step")
    found: dict[int, list[Entity]] = {}
    for one in _able(entities, "position"):
        now = number(one.attributes.get("current_position"))
        if now is not None:
            found.setdefault(int(max(0, min(100, now + step))), []).append(one)
    return tuple(
        Call("cover.set_cover_position", tuple(some), {"position": to}, {"position": at})
        for to, some in found.items()
    )


def _choose(meaning: Meaning, entities: tuple[Entity, ...], named: bool) -> tuple[Call, ...]:
    option, at = _value(meaning, "option")
    service, field = meaning.value("how")
    return (Call(service, entities[:1], {field: option}, {field: at}),) if entities else ()


def _set_to(service: str, data: Mapping[str, Any]) -> _Made:
    """A service with the data that the intent itself says."""

    def make(meaning: Meaning, entities: tuple[Entity, ...], named: bool) -> tuple[Call, ...]:
        return (Call(service, entities, dict(data)),) if entities else ()

    return make


def _reverse(meaning: Meaning, entities: tuple[Entity, ...], named: bool) -> tuple[Call, ...]:
    found: dict[str, list[Entity]] = {}
    for one in entities:
        to = "forward" if one.attributes.get("direction") == "reverse" else "reverse"
        found.setdefault(to, []).append(one)
    return tuple(Call("fan.set_direction", tuple(some), {"direction": to}) for to, some in found.items())


def _volume(meaning: Meaning, entities: tuple[Entity, ...], named: bool) -> tuple[Call, ...]:
    value, at = _value(meaning, "volume_level")
    able = _able(entities, "volume_level")
    level = round(float(value) / 100, 2)
    return (
        (Call("media_player.volume_set", able, {"volume_level": level}, {"volume_level": at}),)
        if able
        else ()
    )


def _volume_step(meaning: Meaning, entities: tuple[Entity, ...], named: bool) -> tuple[Call, ...]:
    step, at = _value(meaning, "volume_step")
    points = {"up": VOLUME_STEP, "down": -VOLUME_STEP}.get(step, step)
    found: dict[float, list[Entity]] = {}
    blind: list[Entity] = []
    for one in _able(entities, "volume_level"):
        now = number(one.attributes.get("volume_level"))
        if now is None:
            blind.append(one)
        else:
            found.setdefault(round(max(0.0, min(1.0, now + float(points) / 100)), 2), []).append(one)
    calls = [
        Call("media_player.volume_set", tuple(some), {"volume_level": to}, {"volume_level": at})
        for to, some in found.items()
    ]
    if blind:
        calls.append(Call(f"media_player.volume_{'up' if points > 0 else 'down'}", tuple(blind)))
    return tuple(calls)


def _play(meaning: Meaning, entities: tuple[Entity, ...], named: bool) -> tuple[Call, ...]:
    query, at = _value(meaning, "search_query")
    kind, kind_at = _value(meaning, "media_class")
    data = {"media_content_id": query, "media_content_type": kind or "music"}
    words = {"media_content_id": at, **({"media_content_type": kind_at} if kind else {})}
    return (Call("media_player.play_media", entities[:1], data, words),) if entities else ()


def _clean(meaning: Meaning, entities: tuple[Entity, ...], named: bool) -> tuple[Call, ...]:
    place = meaning.slots.get("area_ids", Slot(()))
    if not entities:
        return ()
    if not place.value:
        return (Call("vacuum.start", entities),)
    key = "cleaning_area_id"
    return (Call("vacuum.clean_area", entities[:1], {key: list(place.value)}, {key: place.words}),)


def _item(service: str, status: str = "") -> Callable[[Meaning, tuple[Entity, ...], bool], tuple[Call, ...]]:
    def make(meaning: Meaning, entities: tuple[Entity, ...], named: bool) -> tuple[Call, ...]:
        item, at = _value(meaning, "item")
        data: dict[str, Any] = {"item": [item] if service == "todo.remove_item" else item}
        if status:
            data["status"] = status
        return (Call(service, entities[:1], data, {"item": at}),) if entities else ()

    return make


_MAKERS: Final[Mapping[str, _Made]] = {
    "HassLightSet": _light_set,
    "HassLightStep": _light_step,
    "HassLightWarmthStep": _light_warmth,
    "HassHumidifierSetpoint": _with("humidifier.set_humidity", "humidity", "humidity"),
    "HassHumidifierStep": _stepped("humidifier.set_humidity", "humidity", "min_humidity", "max_humidity"),
    "HassWaterHeaterSetTemperature": _with("water_heater.set_temperature", "temperature", "temperature"),
    "HassWaterHeaterStep": _stepped("water_heater.set_temperature", "temperature", "min_temp", "max_temp"),
    "HassClimateSetTemperature": _climate,
    "HassClimateStep": _climate_step,
    "HassClimateSetFanMode": _with("climate.set_fan_mode", "fan_mode", "fan_mode"),
    "HassClimateSetMode": _with("climate.set_hvac_mode", "hvac_mode", "hvac_mode"),
    "HassFanSetSpeed": _with("fan.set_percentage", "percentage", "percentage"),
    "HassFanStep": _fan_step,
    "HassSetPosition": _position,
    "HassSetTilt": _tilt,
    "HassPositionStep": _position_step,
    "HassChoose": _choose,
    "HassSetVolume": _volume,
    "HassSetVolumeRelative": _volume_step,
    "HassMediaPlayerMute": _set_to("media_player.volume_mute", {"is_volume_muted": True}),
    "HassMediaPlayerUnmute": _set_to("media_player.volume_mute", {"is_volume_muted": False}),
    "HassMediaShuffle": _set_to("media_player.shuffle_set", {"shuffle": True}),
    "HassMediaUnshuffle": _set_to("media_player.shuffle_set", {"shuffle": False}),
    "HassFanReverse": _reverse,
    "HassFanOscillate": _set_to("fan.oscillate", {"oscillating": True}),
    "HassFanStill": _set_to("fan.oscillate", {"oscillating": False}),
    "HassMediaSearchAndPlay": _play,
    "HassVacuumCleanArea": _clean,
    "HassVacuumStart": _clean,
    "HassListAddItem": _item("todo.add_item"),
    "HassShoppingListAddItem": _item("todo.add_item"),
    "HassListCompleteItem": _item("todo.update_item", "completed"),
    "HassShoppingListCompleteItem": _item("todo.update_item", "completed"),
    "HassListRemoveItem": _item("todo.remove_item"),
}


def acts_of(
    calls: tuple[Call, ...], targets: tuple[Target, ...], clause: Clause, home: Home
) -> tuple[Act, ...]:
    """Calls as acts, one for each operation, service and data; entities that do not have the service are left out."""
    # A group that the official grammar heard without a name ("lock all the doors") came from the whole clause.
    whole = range(len(words_of(clause.text)) if any(target.every for target in targets) else 0)
    named = heard(clause, [word for target in targets for word in target.words] or whole)
    merged: dict[tuple[str, str, str], tuple[Call, list[str]]] = {}
    for call in calls:
        for one in call.entities:
            if call.service not in services_of(one):
                continue
            key = (operation_for(one, call.service, home), call.service, repr(sorted(call.data.items())))
            merged.setdefault(key, (call, []))[1].append(one.id)
    acts: list[Act] = []
    for (operation, service, _), (call, ids) in merged.items():
        words = {f"data.{key}": heard(clause, at) for key, at in call.words.items() if at}
        if named:
            words["entities"] = named
        unique = list(dict.fromkeys(ids))
        acts.append(Act(operation, {"service": service, "entities": unique, "data": dict(call.data)}, words))
    return tuple(acts)


__all__ = ["DOMAINS", "SERVICES", "Call", "acts_of", "calls_for"]
