"""Which things of a known home the proven words mean: groups, kinds, parts of names; and what they never mean."""

from __future__ import annotations

import pytest

from kindmesh.capabilities.home.inventory import home_from_text
from kindmesh.coordinator.brain.desk.judging import judge
from kindmesh.protocol.plan import plan_from_document

NOW_MS = 1_795_000_000_000  # 2026-11-18 11:06:40 UTC
HOME = home_from_text(
    """
floors: [{id: g, name: Ground Floor, aliases: [downstairs]}, {id: u, name: Upper Floor, aliases: [upstairs]}]
areas:
  - {id: snug, name: Snug, floor: g}
  - {id: wash, name: Wash House, aliases: [utility], floor: g}
  - {id: attic, name: Attic, floor: u}
entities:
  - {id: light.snug, name: Arc Light, area: snug, state: 'on'}
  - {id: light.attic, name: Beam Light, area: attic, state: 'on'}
  - {id: switch.hob, name: Hob, area: wash, state: 'on', attributes: {risk: access}}
  - {id: switch.iron, name: Iron, area: wash, state: 'on'}
  - {id: lock.street, name: Street Door, area: snug, state: unlocked}
  - {id: lock.yard, name: Yard Door, area: wash, state: unlocked}
  - {id: cover.car, name: Old Garage Door, area: wash, state: open, attributes: {device_class: garage}}
  - {id: cover.snug, name: Snug Shades, area: snug, state: open, attributes: {device_class: shade}}
  - {id: cover.attic, name: Attic Drapes, area: attic, state: open, attributes: {device_class: curtain}}
  - {id: media_player.screen, name: Snug TV, area: snug, state: playing}
  - {id: media_player.box, name: Attic Box, area: attic, state: idle}
  - {id: climate.top, name: Attic AC, area: attic, state: cool, attributes: {temperature: 22}}
  - {id: vacuum.duster, name: Duster, area: snug, state: docked}
  - {id: todo.food, name: Food, aliases: [shopping list], state: '0'}
  - {id: todo.jobs, name: Jobs, aliases: [to-do list], state: '0'}
  - {id: script.away, name: Away, state: 'off'}
"""
)


def verdict(
    text: str,
    service: str,
    entities: str,
    words: str = "",
    area: str = "",
    data: dict[str, object] | None = None,
) -> str:
    """What the review says of one step; `words` label its things, none: they are the grammar's."""
    risky = service.startswith(("lock.", "script.")) or "car" in entities or "hob" in entities
    operation = "home.access" if risky else "home.note" if service.startswith("todo.") else "home.control"
    named: object = entities.split()
    if words:
        named = {"$value": named, "$label": {"source": "user", "words": words.split()}}
    step = {"id": "a", "call": operation, "args": {"service": service, "entities": named, "data": data or {}}}
    plan = plan_from_document({"plan": 1, "name": text, "steps": [step]})
    return judge(plan, text, HOME, area=area, now_ms=NOW_MS, zone="UTC").verdict


@pytest.mark.parametrize(("text", "service", "entities", "words"), [
    ("lock up", "lock.lock", "lock.street lock.yard", ""),
    ("lock the doors", "lock.lock", "lock.street lock.yard", "the doors"),
    ("lock all the doors", "lock.lock", "lock.street lock.yard", "all the doors"),
    ("turn everything off", "light.turn_off", "light.snug light.attic", "everything"),
    ("turn everything off", "switch.turn_off", "switch.hob", "everything"),
    ("turn everything off downstairs", "switch.turn_off", "switch.hob", "everything downstairs"),
    ("close all the shades", "cover.close_cover", "cover.snug cover.attic", "all the shades"),
    ("close the garage", "cover.close_cover", "cover.car", "the garage"),
    ("open the shades", "cover.open_cover", "cover.snug", "the shades"),
    ("pause the tv", "media_player.media_pause", "media_player.screen", "the tv"),
    ("next song", "media_player.media_next_track", "media_player.screen", ""),
    ("attic ac to twenty point five", "climate.set_temperature", "climate.top", "attic ac"),
    ("set the attic to nineteen and a half", "climate.set_temperature", "climate.top", "the attic"),
    ("run away", "script.turn_on", "script.away", "away"),
    ("lock all the doors except the yard door", "lock.lock", "lock.street", "all the doors except the yard door"),
])  # fmt: skip
def test_a_group_a_part_of_a_name_or_a_kind_is_enough_for_what_is_safe(
    text: str, service: str, entities: str, words: str
) -> None:
    data: dict[str, object] = {"temperature": 20.5 if "point" in text else 19.5}
    given = data if service.startswith("climate") else None
    assert verdict(text, service, entities, words, data=given) == "allow"


@pytest.mark.parametrize(("text", "service", "entities", "words"), [
    ("unlock the doors", "lock.unlock", "lock.street lock.yard", "the doors"),
    ("lock the street door", "lock.lock", "lock.yard", "the street door"),
    ("turn everything off upstairs", "switch.turn_off", "switch.hob", "everything upstairs"),
    ("turn everything off in the cellar", "light.turn_off", "light.snug", "everything in the cellar"),
    ("turn off all the lights", "switch.turn_off", "switch.iron", "all the lights"),
    ("open the drapes", "cover.open_cover", "cover.snug", "the drapes"),
    ("pause the tv", "media_player.media_pause", "media_player.box", "the tv"),
    ("turn off the lights in the utility", "switch.turn_off", "switch.iron", "the lights in the utility"),
    ("put milk on the shopping list", "todo.add_item", "todo.jobs", "the shopping list"),
    ("turn the aquarium light off", "light.turn_off", "light.snug", "the aquarium light"),
])  # fmt: skip
def test_what_was_not_meant_is_asked_about(text: str, service: str, entities: str, words: str) -> None:
    data: dict[str, object] | None = {"item": "milk"} if service.startswith("todo") else None
    assert verdict(text, service, entities, words, data=data) == "ask"


def test_what_is_said_without_a_place_is_meant_for_the_room_where_it_was_said() -> None:
    assert verdict("lights off", "light.turn_off", "light.snug", area="snug") == "allow"
    assert verdict("lights off", "light.turn_off", "light.attic", area="snug") == "ask"
    assert (
        verdict(
            "louder", "media_player.volume_set", "media_player.box", area="snug", data={"volume_level": 0.4}
        )
        == "ask"
    )


def test_a_room_to_clean_is_meant_by_any_of_its_names() -> None:
    def cleaned(text: str, room: str) -> str:
        return verdict(text, "vacuum.clean_area", "vacuum.duster", data={"cleaning_area_id": [room]})

    assert cleaned("hoover the utility", "wash") == "allow"
    assert cleaned("hoover the utility", "snug") == "ask"


@pytest.mark.parametrize(("duration", "answer"), [("19:53:20", "allow"), ("20:53:20", "ask")])
def test_how_long_until_a_time_that_was_said_is_reckoned(duration: str, answer: str) -> None:
    said: dict[str, object] = {
        "duration": {"$value": duration, "$label": {"source": "user", "words": ["at", "seven"]}}
    }
    assert verdict("wake me at seven", "timer.start", "timer.alarm", data=said) == answer
