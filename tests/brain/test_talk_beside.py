"""What is said beside a command, in another order, or taken back in the same breath: what acts, and what must not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from tests.brain.household import NOW_MS, household

from kindmesh.capabilities.home.model import Entity, Home
from kindmesh.coordinator.brain.cortex.cortex import Cortex
from kindmesh.coordinator.brain.cortex.language import language
from kindmesh.coordinator.brain.cortex.normalise import normalise
from kindmesh.coordinator.brain.cortex.terms import Situation, Understanding
from kindmesh.coordinator.brain.desk.batch import HOME_OPERATIONS
from kindmesh.coordinator.brain.desk.judging import judge

CORTEX = Cortex("en")
MORE = (
    Entity(
        "todo.errands",
        "Errands list",
        (),
        "",
        "1",
        {"items": [{"summary": "paint", "status": "needs_action"}]},
    ),
    Entity("alarm_control_panel.house", "House alarm", ("burglar alarm",), "hall", "disarmed", {}),
    Entity("timer.pasta", "Pasta timer", (), "kitchen", "idle", {"duration": "0:09:00"}),
    Entity("timer.tea", "Tea timer", (), "kitchen", "idle", {"duration": "0:00:00"}),
)


def home() -> Home:
    return household().with_entities(*MORE)


def understand(text: str, **other: Any) -> Understanding:
    known: Mapping[str, Any] = {"operations": HOME_OPERATIONS, "area": "kitchen", **other}
    return CORTEX.understand(text, Situation(home(), NOW_MS, **known))


def done(text: str) -> list[tuple[str, ...]]:
    """What is done, in order, once the review allows it; nothing where it does not."""
    found = understand(text)
    if found.plan is None:
        return []
    judged = judge(found.plan, text, home(), area="kitchen", now_ms=NOW_MS, zone="UTC")
    assert judged.verdict == "allow", judged.messages
    steps = [step.args for step in found.plan.steps if step.call]
    return [tuple(_plain(args["service"]).split() + _plain(args["entities"])) for args in steps]


def _plain(value: Any) -> Any:
    return value["$value"] if isinstance(value, dict) and "$value" in value else value


KETTLE_ON, HALL_OFF = ("switch.turn_on", "switch.kettle"), ("light.turn_off", "light.hall")


@pytest.mark.parametrize(
    ("text", "acts"),
    [
        ("guests any minute, kettle on", []),  # a time: it may be meant for then
        ("guests galore, kettle on", [KETTLE_ON]),
        ("the porridge's burning, kettle on", [KETTLE_ON]),
        ("kettle on, there's a good chap", [KETTLE_ON]),
        ("turn on the kettle if it's no bother", [KETTLE_ON]),
        ("turn off the hall light while I'm in the bath", [HALL_OFF]),
        ("lock the front door behind us", [("lock.lock", "lock.front")]),
        ("the hall light's still on, turn it off", [HALL_OFF]),
        ("I can't see by the hall light, switch it off", [HALL_OFF]),
        ("I left the kettle on, turn it off", [("switch.turn_off", "switch.kettle")]),
        ("turn off the kettle but leave the coffee machine on", [("switch.turn_off", "switch.kettle")]),
        ("we've run out of flour, jot it on the errands list", [("todo.add_item", "todo.errands")]),
        ("got the paint, cross it off", [("todo.update_item", "todo.errands")]),
        ("errands list: stamps", [("todo.add_item", "todo.errands")]),
        ("set the burglar alarm", [("alarm_control_panel.alarm_arm_away", "alarm_control_panel.house")]),
        ("start the pasta timer", [("timer.start", "timer.pasta")]),
        ("give the pasta twelve minutes", [("timer.start", "timer.pasta")]),
        ("if the hall light's on, turn it off", [HALL_OFF]),
        ("is the kettle on? if not turn it on", [KETTLE_ON]),
        ("turn off the hall light after turning on the kettle", [KETTLE_ON, HALL_OFF]),
        ("turn on the kettle before you turn off the hall light", [KETTLE_ON, HALL_OFF]),
        ("turn off the bathroom, no, the hall light", [HALL_OFF]),
        ("turn of the hall lite", [HALL_OFF]),
        ("cut the hall light", [HALL_OFF]),
        ("we won't be needing the hall light, switch it off", [HALL_OFF]),
        ("hall light off, no one needs it", [HALL_OFF]),
        ("could somebody turn off the hall light", [HALL_OFF]),
        ("the kitchen light a bit brighter, say ninety percent", [("light.turn_on", "light.kitchen_ceiling")]),
        ("the paint has been bought, take it off", [("todo.update_item", "todo.errands")]),
        ("note down flour for the errands list", []),
        ("turn off the hall light and in an hour turn on the kettle", [HALL_OFF, KETTLE_ON]),
        ("hall light on now and off again in ten minutes", [("light.turn_on", "light.hall"), HALL_OFF]),
    ],
)  # fmt: skip
def test_a_command_is_done_with_what_is_said_beside_it(text: str, acts: list[tuple[str, ...]]) -> None:
    assert done(text) == acts


@pytest.mark.parametrize(
    "text",
    [
        "don't turn the kettle on, I'm out",
        "mum said, kettle on",
        "he wants, kettle on",
        "for example, kettle on",
        "imagine this, kettle on",
        "if it rains, turn off the hall light",
        "if the window is open, turn off the hall light",
        "if the hall light is on, turn it on",
        "unless Tom's in, kettle on",
        "turn the hall light off, a little dimmer",
        "the hall light, turn nothing off",
        "paint the fence, turn off the hall light",
        "shut the skylights and turn off the hall light",
        "the moon a bit brighter, say ninety percent",
        "turn off the hall light after the film",
        "got the paint, hang it up",
        "wake the children at seven",
    ],
)
def test_what_is_no_command_stays_undone(text: str) -> None:
    assert done(text) == []


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("book club meeting on Friday at seven, put it in the diary", "book club meeting"),
        ("House meeting on Friday at seven, pop it in the calendar", "House meeting"),
        (
            "Aunt Jo is coming on Sunday at one for lunch, put it in the calendar",
            "Aunt Jo is coming for lunch",
        ),
        ("Dad's seeing the optician on Monday at two, write it in the diary", "Dad's seeing the optician"),
        ("make a note in the diary, dentist on the ninth of December at ten", "dentist"),
    ],
)
def test_a_statement_is_put_in_the_calendar_with_all_of_its_words(text: str, title: str) -> None:
    one = home().with_entities(Entity("calendar.us", "Our calendar", (), "", "off", {}))
    found = CORTEX.understand(text, Situation(one, NOW_MS, operations=HOME_OPERATIONS))
    assert found.plan is not None, found.reply or found.question
    assert _plain(found.plan.steps[0].args["data"]["summary"]) == title
    assert judge(found.plan, text, one, area="", now_ms=NOW_MS, zone="UTC").verdict == "allow"


def test_what_is_only_told_is_put_in_no_calendar() -> None:
    one = home().with_entities(Entity("calendar.us", "Our calendar", (), "", "off", {}))
    for text in ("Aunt Jo is coming on Sunday at one for lunch", "do not put it in the calendar"):
        assert CORTEX.understand(text, Situation(one, NOW_MS, operations=HOME_OPERATIONS)).plan is None


def test_a_timer_without_a_length_of_its_own_is_asked_about() -> None:
    assert "how long" in understand("start the tea timer").question


def test_a_possessive_before_a_state_is_only_opened_where_no_command_has_begun() -> None:
    said = [
        [word.text for word in normalise(text, language("en"))] for text in ("turn Emma's off", "Emma's off")
    ]
    assert said == [["turn", "Emma's", "off"], ["Emma", "is", "off"]]


def test_a_source_by_its_name_is_that_of_the_only_player_here() -> None:
    speaker = msgspec.structs.replace(
        home().entities["media_player.kitchen"],
        state="on", attributes={"source_list": ["Vinyl", "Tuner"], "volume_level": 0.3},
    )  # fmt: skip
    one = home().with_entities(speaker)
    text = "switch over to Tuner"
    found = CORTEX.understand(text, Situation(one, NOW_MS, area="kitchen", operations=HOME_OPERATIONS))
    assert found.plan is not None, found.reply
    assert judge(found.plan, text, one, area="kitchen", now_ms=NOW_MS, zone="UTC").verdict == "allow"
    assert judge(found.plan, text, one, area="lounge", now_ms=NOW_MS, zone="UTC").verdict == "ask"
