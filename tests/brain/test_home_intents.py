"""What the recogniser makes of sentences: acts, questions, honest answers, and the words that values came from."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest
from tests.brain.household import NOW_MS, household

from kindmesh.capabilities.home.model import Entity, Home
from kindmesh.coordinator.brain.cortex.intents import HomeIntents, answer
from kindmesh.coordinator.brain.cortex.terms import Clause, Recognised, Situation, words_of

READER = HomeIntents()


def heard(text: str, area: str = "", home: Home | None = None) -> Recognised | None:
    """What a sentence means in the household."""
    situation = Situation(home or household(), NOW_MS, area=area)
    return READER.recognise(Clause(text, tuple(range(len(words_of(text))))), situation)


def did(text: str, area: str = "", home: Home | None = None) -> set[tuple[str, str]]:
    """Service and entity of each call."""
    found = heard(text, area, home)
    assert found is not None, text
    assert not found.question, found.question
    return {(act.args["service"], one) for act in found.acts for one in act.args["entities"]}


def said(text: str, area: str = "", home: Home | None = None) -> str:
    """The answer, with the home as it is."""
    home = home or household()
    found = heard(text, area, home)
    assert found is not None, text
    return answer(found.reply, found, home, NOW_MS)


def changed(home: Home, name: str, **fields: object) -> Home:
    return home.with_entities(msgspec.structs.replace(home.entities[name], **fields))


def test_the_lights_of_an_area_are_all_its_lights() -> None:
    assert did("turn off the kitchen lights") == {
        ("light.turn_off", "light.kitchen_ceiling"),
        ("light.turn_off", "light.counter"),
    }


def test_the_lights_are_those_where_it_was_said() -> None:
    assert did("turn on the lights", area="garden") == {("light.turn_on", "light.garden")}


def test_a_thing_is_known_by_its_aliases() -> None:
    assert did("turn on the coffee maker") == {("switch.turn_on", "switch.coffee")}


def test_a_floor_is_all_areas_on_it() -> None:
    assert {one for _, one in did("turn off all the lights upstairs")} == {
        "light.bedroom", "light.bed_left", "light.bed_right", "light.nursery", "light.bath", "light.desk",
    }  # fmt: skip


def test_unlocking_is_access_and_says_which_words_it_came_from() -> None:
    found = heard("unlock the front door")
    assert found is not None
    (act,) = found.acts
    assert (act.operation, act.args["service"], act.args["entities"]) == (
        "home.access",
        "lock.unlock",
        ["lock.front"],
    )
    assert act.words["entities"] == (2, 3)


def test_values_say_which_words_they_came_from() -> None:
    text = "set the desk lamp to 30 percent"
    found = READER.recognise(Clause(text, (4, 5, 6, 7, 8, 9, 10)), Situation(household(), NOW_MS))
    assert found is not None
    (act,) = found.acts
    assert act.args["data"] == {"brightness_pct": 30}
    assert act.words["entities"] == (6, 7)
    assert act.words["data.brightness_pct"] == (9,)


def test_two_things_of_one_name_are_asked_about() -> None:
    home = household().with_entities(
        Entity("light.spare_lamp", "Desk Lamp", (), "bedroom", "off"),
    )
    found = heard("turn on the desk lamp", home=home)
    assert found is not None
    assert found.question == "Do you mean Desk Lamp (Study) or Desk Lamp (Main Bedroom)?"
    assert not found.acts
    assert did("turn on the desk lamp", area="study", home=home) == {("light.turn_on", "light.desk")}


def test_what_is_not_there_is_said_and_nothing_is_done() -> None:
    found = heard("turn off the fans in the kitchen")
    assert found is not None
    assert not found.acts
    assert said("turn off the fans in the kitchen") == "Sorry, I am not aware of any fan in the Kitchen area"


@pytest.mark.parametrize(("text", "answered"), [
    ("is the front door locked", "Yes"),
    ("is the back door locked", "No, unlocked"),
    ("which lights are on upstairs", "Desk Lamp, Night Light and Right Bedside Lamp"),
    ("are any windows open", "Yes, Kitchen Window"),
    ("how many lights are on in the kitchen", "1"),
    ("what is the temperature in the bedroom", "17 degrees"),
    ("where is emma", "Emma is at home"),
    ("where is tom", "Tom is away"),
    ("is anyone home", "Yes, Emma"),
    ("what's the weather", "8 °C and cloudy"),
])  # fmt: skip
def test_questions_are_answered_from_state(text: str, answered: str) -> None:
    assert said(text) == answered


def test_a_state_that_is_not_known_is_never_a_no() -> None:
    home = changed(household(), "lock.front", state="unavailable")
    assert said("is the front door locked", home=home) == "Front Door cannot be reached just now."
    assert said("are all doors locked", home=home).endswith("I do not know the state of Front Door.")


def test_an_old_state_is_said_with_its_age() -> None:
    home = changed(household(), "lock.front", changed_ms=NOW_MS - 3 * 3_600_000)
    assert said("is the front door locked", home=home) == "Yes (as of 3 hours ago)"


def test_only_what_the_state_shows_is_claimed() -> None:
    home = household()
    found = heard("turn off the lights in the kitchen", home=home)
    assert found is not None
    after = changed(home, "light.kitchen_ceiling", state="off")
    assert answer(found.reply, found, after, NOW_MS) == "Turned off the lights"
    half = changed(after, "light.counter", state="unavailable")
    assert answer(found.reply, found, half, NOW_MS) == "Kitchen Light is off. Counter Lights did not answer."


def test_a_timer_is_started_under_its_name_and_found_again() -> None:
    found = heard("set a pizza timer for 10 minutes") or heard("set a timer for 10 minutes named pizza")
    assert found is not None
    (act,) = found.acts
    assert act.operation == "home.note"
    assert act.args == {"service": "timer.start", "entities": ["timer.pizza"],
                        "data": {"duration": "0:10:00", "name": "pizza"}}  # fmt: skip
    home = household().with_entities(
        Entity(
            "timer.pizza", "pizza", state="active", attributes={"duration": "0:10:00", "remaining": "0:04:00"}
        ),
        Entity(
            "timer.tea", "tea", state="active", attributes={"duration": "0:03:00", "remaining": "0:01:00"}
        ),
    )
    assert did("cancel the pizza timer", home=home) == {("timer.cancel", "timer.pizza")}
    asked = heard("cancel the timer", home=home)
    assert asked is not None
    assert asked.question == "Which timer do you mean: pizza or tea?"


def test_a_timer_that_the_home_has_is_the_one_that_is_started() -> None:
    home = household().with_entities(
        Entity("timer.kitchen_timer", "Kitchen Timer", area="kitchen", state="idle")
    )
    assert did("set the kitchen timer for 10 minutes", home=home) == {("timer.start", "timer.kitchen_timer")}
    assert did("6 minutes on the kitchen timer", home=home) == {("timer.start", "timer.kitchen_timer")}


def test_a_timer_is_labelled_with_all_the_words_that_name_it_and_may_be_called_by_its_place() -> None:
    home = household().with_entities(
        Entity("timer.kitchen_timer", "Kitchen Timer", area="kitchen", state="idle"),
        Entity("timer.oven", "Oven Timer", state="active", attributes={"duration": "0:10:00"}),
    )
    for text, words in (
        ("pause the oven timer", (2, 3)),
        ("set a timer for three minutes", (2,)),
        ("five minute timer in the kitchen", (2, 3, 4, 5)),
        ("set the kitchen timer to 4 minutes", (2, 3)),
    ):
        found = heard(text, home=home)
        assert found is not None, text
        (act,) = found.acts
        assert act.words["entities"] == words, text
    assert did("five minute timer in the kitchen", home=home) == {("timer.start", "timer.kitchen_timer")}


def test_outside_in_a_place_that_is_measured_is_that_place() -> None:
    home = household().with_entities(
        Entity("weather.home", "Home", state="rainy", attributes={"temperature": 9, "temperature_unit": "°C"}),
        Entity("sensor.garden", "Garden Sensor", area="garden", state="11.5",
               attributes={"device_class": "temperature", "unit_of_measurement": "°C"}),
    )  # fmt: skip
    assert "11.5" in said("what is the temperature outside in the garden", home=home)


def test_all_the_lights_of_a_place_are_more_than_the_one_that_is_called_so() -> None:
    home = household()
    wanted = {one.id for one in home.entities.values() if one.domain == "light" and one.area == "bedroom"}
    assert len(wanted) > 1
    assert {one for _, one in did("all the bedroom lights off", home=home)} == wanted
    assert did("turn off the bedroom light", home=home) == {("light.turn_off", "light.bedroom")}


def test_a_thing_is_put_on_at_a_value_that_can_be_no_hour() -> None:
    found = heard("put the desk lamp on at 40 percent")
    assert found is not None
    assert [act.args["data"] for act in found.acts] == [{"brightness_pct": 40}]
    hour = heard("put the desk lamp on at 7")
    assert hour is None or not any(act.args["data"] for act in hour.acts)


def test_a_degree_and_half_a_degree_are_steps_of_the_heating() -> None:
    home = household().with_entities(
        Entity("climate.attic", "Attic Heater", area="", state="heat", attributes={"temperature": 20})
    )
    for text, wanted in (
        ("turn the attic heater up a degree", 21),
        ("turn the attic heater down by half a degree", 19.5),
    ):
        found = heard(text, home=home)
        assert found is not None, text
        assert [act.args["data"] for act in found.acts] == [{"temperature": wanted}], text


def test_a_command_for_later_waits_and_claims_nothing() -> None:
    found = heard("turn off the kitchen lights in 10 minutes")
    assert found is not None
    assert found.clause.delay_ms == 600_000
    assert {one for act in found.acts for one in act.args["entities"]} == {
        "light.kitchen_ceiling",
        "light.counter",
    }
    assert answer(found.reply, found, household(), NOW_MS) == "Command will be executed in 10 minutes"


def test_a_temperature_that_a_thermostat_cannot_have_is_not_sent() -> None:
    found = heard("set the bedroom temperature to 60 degrees")
    assert found is not None
    assert not found.acts
    assert found.reply.text == "Bedroom Radiator can be set from 5 to 28 degrees."


@pytest.mark.parametrize(
    "text", ["", "   ", "what is the capital of france", "book a flight to rome", "x" * 5000]
)
def test_what_is_no_matter_of_a_home_is_left_to_others(text: str) -> None:
    assert heard(text) is None


def test_nothing_heavy_is_loaded_before_a_sentence_comes() -> None:
    code = (
        "import sys; import kindmesh.coordinator.brain.cortex.intents as i; i.HomeIntents();"
        "print([m for m in ('hassil', 'home_assistant_intents', 'jinja2', 'rapidfuzz') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
