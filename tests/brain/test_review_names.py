"""What people call things, with the slips of ears and fingers: enough for what does no harm, and for nothing else."""

from __future__ import annotations

import pytest

from kindmesh.capabilities.home.inventory import home_from_text
from kindmesh.coordinator.brain.desk.judging import judge
from kindmesh.protocol.plan import plan_from_document

HOME = home_from_text(
    """
floors: [{id: g, name: Ground Floor}]
areas:
  - {id: hall, name: Hall, floor: g}
  - {id: bath, name: Bathroom, floor: g}
  - {id: yard, name: Yard}
entities:
  - {id: light.porch, name: Porch Light, area: hall, state: 'on'}
  - {id: light.floor, name: Floor Lamp, area: hall, state: 'on'}
  - {id: light.strip, name: Game LEDs, area: hall, state: 'on'}
  - {id: light.mirror, name: Mirror Lamp, area: bath, state: 'on'}
  - {id: switch.rail, name: Towel Rail, area: bath, state: 'on'}
  - {id: switch.trough, name: Water Trough Heater, area: yard, state: 'on'}
  - {id: switch.coop, name: Coop Heater, area: yard, state: 'on'}
  - {id: valve.hose, name: Hose, area: yard, state: closed}
  - {id: lock.porch, name: Porch Door, area: hall, state: locked}
  - {id: climate.hall, name: Hall Heating, area: hall, state: heat, attributes: {temperature: 20}}
  - {id: todo.wishes, name: Wish List, area: hall, state: '1'}
"""
)


def verdict(text: str, operation: str, service: str, entity: str, words: str, **data: object) -> str:
    """What the review says of one step whose thing is labelled with these words of the sentence."""
    things = {"$value": [entity], "$label": {"source": "user", "words": words.split()}}
    step = {"id": "a", "call": operation, "args": {"service": service, "entities": things, "data": data}}
    plan = plan_from_document({"plan": 1, "name": text, "steps": [step]})
    return judge(plan, text, HOME, area="", now_ms=1_795_000_000_000, zone="UTC").verdict


CONTROL, ACCESS, NOTE = "home.control", "home.access", "home.note"


@pytest.mark.parametrize(("text", "operation", "service", "entity", "words"), [
    ("turn on the portch light", CONTROL, "light.turn_on", "light.porch", "portch light"),
    ("flor lamp off", CONTROL, "light.turn_off", "light.floor", "flor lamp"),
    ("floorlamp off", CONTROL, "light.turn_off", "light.floor", "floorlamp"),
    ("porch lite off", CONTROL, "light.turn_off", "light.porch", "porch lite"),
    ("turn off the game leds", CONTROL, "light.turn_off", "light.strip", "game leds"),
    ("turn the trough heater on", CONTROL, "switch.turn_on", "switch.trough", "the trough heater"),
    ("turn off everything in the bathroom", CONTROL, "switch.turn_off", "switch.rail", "everything in the bathroom"),
    ("turn on the hose", ACCESS, "valve.open_valve", "valve.hose", "hose"),
    ("stop the hose", ACCESS, "valve.close_valve", "valve.hose", "hose"),
])  # fmt: skip
def test_what_was_plainly_meant_is_allowed(
    text: str, operation: str, service: str, entity: str, words: str
) -> None:
    assert verdict(text, operation, service, entity, words) == "allow"


@pytest.mark.parametrize(("text", "operation", "service", "entity", "words"), [
    ("unlock the portch door", ACCESS, "lock.unlock", "lock.porch", "portch door"),
    ("turn on the heater", CONTROL, "switch.turn_on", "switch.trough", "heater"),
    ("turn on the coop heater", CONTROL, "switch.turn_on", "switch.trough", "heater"),
    ("turn off the mirror lamp", CONTROL, "light.turn_off", "light.floor", "lamp"),
    ("turn off the lights in the bathroom", CONTROL, "switch.turn_off", "switch.rail", "in the bathroom"),
    ("turn on the floor lamp by the porch", CONTROL, "light.turn_on", "light.porch", "porch"),
    ("turn off the hose", ACCESS, "valve.open_valve", "valve.hose", "hose"),
    ("turn on the porch door", ACCESS, "lock.unlock", "lock.porch", "porch door"),
])  # fmt: skip
def test_what_could_be_meant_otherwise_is_asked(
    text: str, operation: str, service: str, entity: str, words: str
) -> None:
    assert verdict(text, operation, service, entity, words) == "ask"


def test_halves_and_quarters_are_numbers_that_were_said() -> None:
    args = {"$value": 19.5, "$label": {"source": "user", "words": ["nineteen", "and", "a", "half"]}}
    text = "hall heating to nineteen and a half"
    assert (
        verdict(text, CONTROL, "climate.set_temperature", "climate.hall", "heating", temperature=args)
        == "allow"
    )
    args = {"$value": 20.5, "$label": {"source": "user", "words": ["nineteen", "and", "a", "half"]}}
    assert (
        verdict(text, CONTROL, "climate.set_temperature", "climate.hall", "heating", temperature=args)
        == "ask"
    )


def test_taking_something_off_a_list_asks_for_its_removal() -> None:
    item = {"$value": ["lavender soap"], "$label": {"source": "user", "words": ["lavender", "soap"]}}
    text = "take lavender soap off my wish list"
    assert verdict(text, NOTE, "todo.remove_item", "todo.wishes", "wish list", item=item) == "allow"


def test_by_how_much_is_reckoned_from_how_it_is_now_and_to_what_is_not() -> None:
    step = {"$value": 22, "$label": {"source": "user", "words": ["two", "degrees"]}}
    service, thing = "climate.set_temperature", "climate.hall"
    text = "turn the hall heating up two degrees"
    assert verdict(text, CONTROL, service, thing, "hall heating", temperature=step) == "allow"
    text = "turn the hall heating up to two degrees"
    assert verdict(text, CONTROL, service, thing, "hall heating", temperature=step) == "ask"
