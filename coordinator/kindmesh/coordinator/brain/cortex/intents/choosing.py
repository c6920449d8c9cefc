"""What is chosen from a thing's own list: a source, a programme, how strongly to clean.

Only what stands in the list of the thing counts, so a word that is no option of anything chooses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from kindmesh.capabilities.home.model import Entity, Home
from kindmesh.coordinator.brain.cortex.intents.book import determiners, plain
from kindmesh.coordinator.brain.cortex.intents.describe import Describer, Word
from kindmesh.coordinator.brain.cortex.intents.household import of_kind, placed
from kindmesh.coordinator.brain.cortex.intents.meaning import Meaning, Slot, Target

LISTS: Final[Mapping[str, tuple[tuple[str, str, str], ...]]] = {
    "media_player": (
        ("source_list", "media_player.select_source", "source"),
        ("sound_mode_list", "media_player.select_sound_mode", "sound_mode"),
    ),
    "light": (("effect_list", "light.turn_on", "effect"),),
    "vacuum": (("fan_speed_list", "vacuum.set_fan_speed", "fan_speed"),),
    "fan": (("preset_modes", "fan.set_preset_mode", "preset_mode"),),
    "climate": (
        ("preset_modes", "climate.set_preset_mode", "preset_mode"),
        ("fan_modes", "climate.set_fan_mode", "fan_mode"),
    ),
    "humidifier": (("available_modes", "humidifier.set_mode", "mode"),),
    "water_heater": (("operation_list", "water_heater.set_operation_mode", "operation_mode"),),
    "select": (("options", "select.select_option", "option"),),
    "input_select": (("options", "input_select.select_option", "option"),),
}
"""For each domain: the attribute that lists options, the service that chooses one, and its field."""


class Chosen(msgspec.Struct, frozen=True):
    """An option as the thing spells it, and how it is chosen."""

    service: str
    field: str
    option: str


def chosen(one: Entity, said: Sequence[str], language: str) -> Chosen | None:
    """The option of a thing that was said; None when it has none that is called so, or two."""
    wanted = _key(said, language)
    found = [
        Chosen(service, field, str(option))
        for listed, service, field in LISTS.get(one.domain, ())
        for option in _options(one, listed)
        if wanted and _key(plain(str(option)).split(), language) == wanted
    ]
    return found[0] if len(found) == 1 else None


def option_of(names: Describer, area: str, option: Sequence[Word], said: Sequence[Word]) -> Meaning | None:
    """An option of what is described, or (nothing described) of the only thing that has it, here or running."""
    home = names.home
    texts = [word.text for word in option]
    pool = of_kind(home, names.domains, ())
    if not any(chosen(one, texts, names.language) for one in pool):
        return None
    if said:
        found = names.read(said)
        if found is None or found.doubt:
            return None
        pool = tuple(one for target in found.targets for one in _members(home, target))
    able = [(one, choice) for one in pool if (choice := chosen(one, texts, names.language)) is not None]
    near = [row for row in able if area and row[0].area == area]
    running = [row for row in able if row[0].state not in ("off", "standby", "unavailable")]
    able = next((rows for rows in (able, near, running) if len(rows) == 1), able)
    if not able:
        return None
    at = tuple(word.at for word in option)
    how = Slot((able[0][1].service, able[0][1].field))
    target = Target(ids=tuple(one.id for one, _ in able), words=tuple(word.at for word in said) or at)
    return Meaning("HassChoose", {"option": Slot(able[0][1].option, words=at), "how": how}, (target,))


def resumed(names: Describer, title: Sequence[Word]) -> Meaning | None:
    """ "Carry on with TITLE": the one player that has it on."""
    wanted = _key([word.text for word in title], names.language)
    found = [
        one for one in of_kind(names.home, ("media_player",), ())
        if wanted and _key(plain(str(one.attributes.get("media_title") or "")).split(), names.language) == wanted
    ]  # fmt: skip
    at = tuple(word.at for word in title)
    return (
        Meaning("HassMediaUnpause", {}, (Target(ids=(found[0].id,), words=at),)) if len(found) == 1 else None
    )


def _members(home: Home, target: Target) -> tuple[Entity, ...]:
    if target.ids:
        return tuple(home.entities[one] for one in target.ids)
    return placed(home, of_kind(home, target.domains, target.classes), target.areas, target.floors)


def _options(one: Entity, listed: str) -> list[object]:
    found = one.attributes.get(listed)
    return list(found) if isinstance(found, list | tuple) else []


def _key(said: Sequence[str], language: str) -> str:
    return "".join(word for word in said if word not in determiners(language))


__all__ = ["LISTS", "Chosen", "chosen", "option_of", "resumed"]
