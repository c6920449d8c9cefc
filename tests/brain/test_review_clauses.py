"""Sentences of several parts: "it" is what was named before it, and each step is measured by its own part."""

from __future__ import annotations

import pytest

from kindmesh.capabilities.home.inventory import home_from_text
from kindmesh.coordinator.brain.cortex.cortex import Cortex
from kindmesh.coordinator.brain.desk.batch import Batch
from kindmesh.mesh.clock import SystemClock

HOME = home_from_text(
    """
areas: [{id: nook, name: Nook}, {id: cabin, name: Cabin}]
entities:
  - {id: light.spot, name: Spot, area: nook, state: 'off', attributes: {supported_color_modes: [color_temp],
     min_color_temp_kelvin: 2200, max_color_temp_kelvin: 6000}}
  - {id: light.orb, name: Orb, area: cabin, state: 'on', attributes: {supported_color_modes: [brightness]}}
  - {id: switch.pump, name: Pond Pump, area: cabin, state: 'off'}
  - {id: climate.nook, name: Nook Radiator, area: nook, state: heat,
     attributes: {temperature: 18, min_temp: 5, max_temp: 28}}
  - {id: climate.cabin, name: Cabin Stove Heat, area: cabin, state: heat,
     attributes: {temperature: 18, min_temp: 5, max_temp: 28}}
  - {id: cover.slats, name: Slats, area: nook, state: open, attributes: {device_class: blind}}
  - {id: cover.barn, name: Barn Door, area: cabin, state: open, attributes: {device_class: garage}}
  - {id: lock.nook, name: Nook Door, area: nook, state: locked}
  - {id: lock.cabin, name: Cabin Door, area: cabin, state: unlocked}
  - {id: media_player.tube, name: Tube, area: nook, state: playing, attributes: {volume_level: 0.5}}
  - {id: media_player.box, name: Box, area: cabin, state: playing, attributes: {volume_level: 0.3}}
"""
)


@pytest.fixture(scope="module")
def batch() -> Batch:
    return Batch(HOME, Cortex("en"), clock=SystemClock())


def told(batch: Batch, text: str) -> tuple[str, dict[str, object]]:
    answer = batch.line({"id": "1", "text": text})
    changes = {f"{one['entity']}.{one['attribute']}": one["after"] for one in answer["changes"]}
    return str(answer["verdict"]), changes


@pytest.mark.parametrize(("text", "changed"), [
    ("switch the spot on and turn it to 20 percent", {"light.spot.brightness": 51}),
    ("did I leave the orb on? switch it off", {"light.orb.state": "off"}),
    ("turn the orb off and dim the spot to 30%", {"light.orb.state": "off", "light.spot.brightness": 76}),
    ("nook to 19 and cabin to 22", {"climate.nook.temperature": 19, "climate.cabin.temperature": 22}),
    ("tube down to 20 and box up", {"media_player.tube.volume_level": 0.2, "media_player.box.volume_level": 0.4}),
    ("make the spot candlelight", {"light.spot.color_temp_kelvin": 2200}),
    ("set a timer for two and a half minutes", {"timer.timer.duration": "0:02:30"}),
    ("set a timer for an hour and a quarter", {"timer.timer.duration": "1:15:00"}),
])  # fmt: skip
def test_each_part_is_done_with_what_it_is_about(batch: Batch, text: str, changed: dict[str, object]) -> None:
    verdict, changes = told(batch, text)
    assert changed.items() <= changes.items(), (verdict, changes)


def test_it_does_not_lend_its_name_to_another_thing(batch: Batch) -> None:
    verdict, changes = told(batch, "turn the pond pump on and turn it off again in ten minutes")
    assert verdict == "allow"
    assert {name for name in changes if name.endswith(".state")} == {"switch.pump.state"}


def test_everything_is_closed_where_that_was_said_and_nothing_is_opened(batch: Batch) -> None:
    verdict, changes = told(batch, "close everything")
    assert verdict == "allow"
    assert {"cover.slats.state": "closed", "cover.barn.state": "closed"}.items() <= changes.items()
    assert told(batch, "close everything in the cellar")[1] == {}


def test_whether_everything_is_locked_is_answered_from_every_lock(batch: Batch) -> None:
    assert batch.line({"id": "1", "text": "is everything locked?"})["reply"].startswith("No")
    locked = {"lock.cabin": {"state": "locked", "attributes": {}}}
    assert batch.line({"id": "2", "text": "is everything locked?", "setup": locked})["reply"].startswith(
        "Yes"
    )


TWINS = home_from_text(
    """
areas: [{id: nook, name: Nook}, {id: cabin, name: Cabin}]
entities:
  - {id: cover.nook, name: Slats, area: nook, state: open, attributes: {device_class: blind}}
  - {id: cover.cabin, name: Slats, area: cabin, state: open, attributes: {device_class: blind}}
  - {id: light.nook, name: Spot, area: nook, state: 'on'}
  - {id: light.cabin, name: Orb, area: cabin, state: 'on'}
"""
)


def test_everything_said_in_a_room_is_all_of_that_room_and_without_one_all_of_the_house() -> None:
    twins = Batch(TWINS, Cortex("en"), clock=SystemClock())
    here = twins.line({"id": "1", "text": "turn everything off", "area": "nook"})
    assert {one["entity"] for one in here["changes"]} == {"light.nook"}
    anywhere = twins.line({"id": "2", "text": "turn everything off"})
    assert {one["entity"] for one in anywhere["changes"]} == {"light.nook", "light.cabin"}


def test_what_changed_is_not_said_to_have_been_so_before() -> None:
    twins = Batch(TWINS, Cortex("en"), clock=SystemClock())
    closed = twins.line({"id": "1", "text": "close the nook slats"})["reply"]
    assert "closed" in closed
    assert "already" not in closed
    shut = {"cover.nook": {"state": "closed", "attributes": {"device_class": "blind"}}}
    assert "already" in twins.line({"id": "2", "text": "close the nook slats", "setup": shut})["reply"]
