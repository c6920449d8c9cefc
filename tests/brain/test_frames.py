"""Commands by their pieces, in any order; and what is one word away from a command and must not be one."""

from __future__ import annotations

import pytest
from tests.brain.household import NOW_MS, household

from kindmesh.capabilities.home.model import Home
from kindmesh.capabilities.home.services import apply, differences
from kindmesh.coordinator.brain.cortex.intents import HomeIntents
from kindmesh.coordinator.brain.cortex.intents.frame_table import DIMENSIONS, frame_table
from kindmesh.coordinator.brain.cortex.terms import Clause, Situation, words_of

READER = HomeIntents()


def changed(text: str, area: str = "") -> dict[str, dict[str, object]]:
    """What a sentence changes in the household: entity -> attribute -> value after."""
    before = household()
    clause = Clause(text, tuple(range(len(words_of(text)))))
    found = READER.recognise(clause, Situation(before, NOW_MS, area=area))
    after: Home = before
    for act in found.acts if found is not None and not found.question else ():
        after, _ = apply(after, act.args["service"], act.args["entities"], act.args["data"], NOW_MS)
    rows: dict[str, dict[str, object]] = {}
    for change in differences(before, after):
        rows.setdefault(change.entity, {})[change.attribute] = change.after
    return rows


@pytest.mark.parametrize(("text", "entity", "attribute", "value"), [
    ("crank the heating in the lounge up to 22", "climate.lounge", "temperature", 22),
    ("drop the lounge temperature to 18", "climate.lounge", "temperature", 18),
    ("the lounge should be 21 degrees", "climate.lounge", "temperature", 21),
    ("i want 19 degrees in the lounge", "climate.lounge", "temperature", 19),
    ("knock the lounge thermostat down a couple of degrees", "climate.lounge", "temperature", 18),
    ("i would like the lounge a bit warmer", "climate.lounge", "temperature", 21),
    ("take the reading lamp down a notch", "light.reading", "brightness", 102),
    ("make the lounge ceiling glow red", "light.lounge_ceiling", "color_mode", "hs"),
    ("change the lounge ceiling over to pink", "light.lounge_ceiling", "color_mode", "hs"),
    ("knock the reading lamp off", "light.reading", "state", "off"),
    ("the hall light could be on", "light.hall", "state", "on"),
    ("let the left blind down", "cover.lounge_left", "state", "closed"),
    ("have the left blind come down", "cover.lounge_left", "state", "closed"),
    ("bring the right blind all the way down", "cover.lounge_right", "state", "closed"),
    ("could we have the kettle on", "switch.kettle", "state", "on"),
    ("latch the back door", "lock.back", "state", "locked"),
    ("quieten the television", "media_player.tv", "volume_level", 0.3),
])  # fmt: skip
def test_the_pieces_of_a_command_may_come_in_any_order(
    text: str, entity: str, attribute: str, value: object
) -> None:
    rows = changed(text)
    assert set(rows) == {entity}
    assert rows[entity][attribute] == (pytest.approx(value) if isinstance(value, float) else value)


@pytest.mark.parametrize("text", [
    "the reading lamp is on",
    "the hall light was on",
    "turn the reading lamp up lower",
    "turn the hall light on off",
    "crank the heating in the lounge up to 22 for the neighbours",
    "drop the lounge temperature report",
    "i want the reading lamp",
    "the lounge thermostat",
    "take the reading lamp to the shop",
    "put the kettle in the cupboard",
    "get the reading lamp out of the box",
    "make the lounge tidy",
    "bring the television to the kitchen",
    "have the back door painted",
    "let the dog out",
    "i want to buy a brighter reading lamp",
    "hit the road",
    "knock on the back door",
])  # fmt: skip
def test_a_word_that_is_left_over_makes_it_no_command(text: str) -> None:
    assert changed(text) == {}


def test_warmer_light_is_another_colour_and_not_more_of_it() -> None:
    rows = changed("make the lounge ceiling warmer")
    assert set(rows) == {"light.lounge_ceiling"}
    assert "color_temp_kelvin" in rows["light.lounge_ceiling"]
    assert "brightness" not in rows["light.lounge_ceiling"]


def test_each_direction_of_the_table_is_one_that_frames_know() -> None:
    table = frame_table("en")
    assert table is not None
    assert {sign for signs in table.signs.values() for sign in signs} <= set(DIMENSIONS)
    assert {sign for signs in table.verbs.values() for sign in signs} - {""} <= set(DIMENSIONS)
    assert set(table.opposites) | set(table.opposites.values()) <= set(DIMENSIONS)
