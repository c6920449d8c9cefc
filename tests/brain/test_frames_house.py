"""What people say in other words, in a house where names mislead: through the review, as in a batch."""

from __future__ import annotations

import pytest
from tests.brain.frames_home import house
from tests.brain.household import NOW_MS

from kindmesh.capabilities.home.model import Home
from kindmesh.capabilities.home.services import apply, differences
from kindmesh.coordinator.brain.cortex.cortex import Cortex
from kindmesh.coordinator.brain.cortex.terms import Situation, Understanding

CORTEX = Cortex()


def understood(text: str, area: str = "") -> tuple[Understanding, dict[str, dict[str, object]]]:
    """What a sentence means in that house, and what it would change."""
    before = house()
    found = CORTEX.understand(text, Situation(before, NOW_MS, area=area))
    after: Home = before
    for act in [act for part in found.recognised for act in part.acts] if found.plan is not None else []:
        after, _ = apply(after, act.args["service"], act.args["entities"], act.args["data"], NOW_MS)
    rows: dict[str, dict[str, object]] = {}
    for change in differences(before, after):
        rows.setdefault(change.entity, {})[change.attribute] = change.after
    return found, rows


@pytest.mark.parametrize(("text", "area", "entity", "attribute", "value"), [
    # What a thing is called, and what only its room is called
    ("set the boiler to 60", "", "water_heater.boiler", "temperature", 60),
    ("hot water to 50 degrees", "", "water_heater.boiler", "temperature", 50),
    ("lower the boiler three degrees", "", "water_heater.boiler", "temperature", 52),
    ("set the humidity to 50 percent", "bedroom", "humidifier.bedroom", "humidity", 50),
    ("get the bread going", "", "switch.bread", "state", "on"),
    ("run the pond pump", "", "switch.pump", "state", "on"),
    ("the lamp by the desk on", "", "light.desk", "state", "on"),
    ("water off", "", "valve.stopcock", "state", "closed"),
    ("turn the gas off at the valve", "", "valve.gas", "state", "closed"),
    ("turn the heating up two degrees", "", "climate.main", "temperature", 22),
    ("AC to 22", "", "climate.ac", "temperature", 22),
    ("make it 21 in the study", "", "climate.study", "temperature", 21),
    # A share of the way
    ("curtains two thirds closed", "", "cover.lounge", "current_position", 33),
    ("bedroom blind eighty percent shut", "", "cover.blind", "current_position", 20),
    ("bedroom blind down to 15 percent open", "", "cover.blind", "current_position", 15),
    ("open the bedroom blind a smidge", "", "cover.blind", "current_position", 60),
    ("kitchen spots full whack", "", "light.spots", "brightness", 255),
    # One step of the fan's own, and never back
    ("ceiling fan slower", "", "fan.ceiling", "percentage", 33),
    ("ceiling fan on low", "", "fan.ceiling", "percentage", 33),
    ("reverse the ceiling fan", "", "fan.ceiling", "direction", "reverse"),
    ("make the ceiling fan oscillate", "", "fan.ceiling", "oscillating", True),
    # Players
    ("pause the film", "", "media_player.tv", "state", "paused"),
    ("kill the music", "", "media_player.radio", "state", "off"),
    ("turn the wireless down", "", "media_player.radio", "volume_level", 0.2),
    ("Radio 4 please", "", "media_player.radio", "source", "Radio 4"),
    ("the PlayStation please", "", "media_player.tv", "source", "PlayStation"),
    ("shuffle the music in the kitchen", "", "media_player.radio", "shuffle", True),
    ("telly volume up to 60", "", "media_player.tv", "volume_level", 0.6),
    # What is wrong is a wish
    ("it's perishing in here", "study", "climate.study", "temperature", 20),
    ("it's gloomy in here", "study", "light.desk", "state", "on"),
    ("that TV is far too loud", "lounge", "media_player.tv", "volume_level", 0.3),
    ("it's way too bright in the kitchen", "", "light.spots", "brightness", 173),
    ("the TV is much too loud", "lounge", "media_player.tv", "volume_level", 0.3),
    ("it's too warm to sleep in here", "study", "climate.study", "temperature", 18),
    ("I can't see a thing", "study", "light.desk", "state", "on"),
    ("let some light in", "bedroom", "cover.blind", "current_position", 100),
    # All the way, a step, another degree
    ("turn the desk lamp all the way up", "", "light.desk", "brightness", 255),
    ("back off the ceiling fan a little", "", "fan.ceiling", "percentage", 33),
    ("give the study an extra two degrees", "", "climate.study", "temperature", 21),
    ("take two degrees off the study", "", "climate.study", "temperature", 17),
    ("boost the study by two degrees", "", "climate.study", "temperature", 21),
    ("bump it up a couple of degrees", "study", "climate.study", "temperature", 21),
    ("warm the study, seventeen degrees", "", "climate.study", "temperature", 17),
    ("turn the sound off on the TV", "", "media_player.tv", "is_volume_muted", True),
    ("unplug the bread maker", "", "switch.bread", "state", None),
    # Scenes
    ("set up movie night", "", "light.lounge", "state", "off"),
    ("we're having a movie night", "", "light.lounge", "state", "off"),
])  # fmt: skip
def test_other_words_mean_the_same(text: str, area: str, entity: str, attribute: str, value: object) -> None:
    _, rows = understood(text, area)
    rows.pop("scene.movie", None)
    if value is None:
        assert not rows
        return
    assert set(rows) == {entity}
    got = rows[entity][attribute]
    assert got == (pytest.approx(value, abs=1) if isinstance(value, int | float) else value)


@pytest.mark.parametrize(
    ("text", "area", "things"),
    [
        ("both lamps on", "bedroom", {"light.left", "light.right"}),
        ("the two bedside lamps on", "", {"light.left", "light.right"}),
        ("turn our lamps on", "bedroom", {"light.left", "light.right"}),
        ("turn off all the outdoor lights", "", {"light.patio", "light.flood"}),
        ("lights off outside", "", {"light.patio", "light.flood"}),
        ("turn all my lights off", "lounge", {"light.lounge"}),
        ("turn the lights up a bit", "lounge", {"light.lounge"}),
        (
            "turn every lamp but the desk one on",
            "bedroom",
            {"light.shelf", "light.boiler_room", "light.left", "light.right"},
        ),
        ("turn everything off in here", "kitchen", {"light.spots", "media_player.radio"}),
    ],
)
def test_several_are_those_that_were_meant(text: str, area: str, things: set[str]) -> None:
    assert set(understood(text, area)[1]) == things


@pytest.mark.parametrize(
    ("text", "area"),
    [
        ("both lamps on", ""),
        ("start the boiler room", ""),
        ("start the car", ""),
        ("open the study", ""),
        ("run the kitchen", ""),
        ("the bedroom is cold", ""),
        ("the bedroom was too cold", ""),
        ("it is cold outside", "study"),
        ("it was dark in here", "study"),
        ("my tea is too cold", "study"),
        ("the neighbours are too loud", "lounge"),
        ("I am cool with that", "study"),
        ("the lounge light is bright", ""),
        ("Radio 2 please", ""),
        ("one please", ""),
        ("we're having a movie night on Friday", ""),
        ("it's movie night on Saturday", ""),
        ("can the desk lamp be repaired", ""),
        ("the desk lamp needs to be replaced", ""),
        ("the boiler needs to be on the list", ""),
        ("stop the bread from burning", ""),
        ("cut the power bill", ""),
        ("lower your expectations", ""),
        ("no lights were on when I came in", ""),
    ],
)
def test_the_same_words_of_something_else_change_nothing(text: str, area: str) -> None:
    assert understood(text, area)[1] == {}


def test_what_was_said_outright_comes_before_what_was_hinted_at() -> None:
    rows = understood("it's gloomy in here, turn on the shelf light", "study")[1]
    assert set(rows) == {"light.shelf"}
