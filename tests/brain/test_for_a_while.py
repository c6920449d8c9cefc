"""What is done for a while, and what is done with the sun: the plan, and what the review says of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.brain.household import household
from tests.brain.small_home import NOW_MS, ZONE

from kindmesh.coordinator.brain.cortex.cortex import Cortex
from kindmesh.coordinator.brain.cortex.terms import Situation, Understanding
from kindmesh.coordinator.brain.desk.batch import HOME_OPERATIONS
from kindmesh.coordinator.brain.desk.judging import Judged, judge
from kindmesh.protocol.plan import Plan, plan_from_document, plan_to_document

CORTEX, GERMAN = Cortex("en"), Cortex("de")
MINUTE = 60_000
BERLIN = (52.5, 13.4)


def understand(text: str, cortex: Cortex = CORTEX, **other: Any) -> Understanding:
    known: dict[str, Any] = {
        "zone": ZONE,
        "operations": HOME_OPERATIONS,
        "area": "kitchen",
        "place": BERLIN,
        **other,
    }
    return cortex.understand(text, Situation(household(), NOW_MS, **known))


def judged(plan: Plan, text: str) -> Judged:
    return judge(plan, text, household(), area="kitchen", now_ms=NOW_MS, zone=ZONE)


def told(plan: Plan) -> list[Any]:
    """Each step as (service, entities), or the length of a wait."""
    found: list[Any] = []
    for step in plan.steps:
        if step.pause is not None:
            value: Any = step.pause.for_ms or step.pause.until_ms
            found.append(value["$value"])
            continue
        plain = [
            one["$value"] if isinstance(one, dict) else one
            for one in (step.args["service"], step.args["entities"])
        ]
        found.append((plain[0], *plain[1]))
    return found


ON, OFF = ("light.turn_on", "light.kitchen_ceiling"), ("light.turn_off", "light.kitchen_ceiling")
UNLOCK, LOCK = ("lock.unlock", "lock.front"), ("lock.lock", "lock.front")


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("turn the kitchen light on for ten minutes", [ON, 10 * MINUTE, OFF]),
        ("keep the kitchen light on for half an hour", [ON, 30 * MINUTE, OFF]),
        ("for the next hour, leave the kitchen light off", [OFF, 60 * MINUTE, ON]),
        (
            "in ten minutes turn the kitchen light on for an hour and a half",
            [10 * MINUTE, ON, 90 * MINUTE, OFF],
        ),
        ("unlock the front door for five minutes", [UNLOCK, 5 * MINUTE, LOCK]),
    ],
)
def test_for_a_while_is_done_now_and_put_back_after_a_wait(text: str, steps: list[Any]) -> None:
    found = understand(text)
    assert found.plan is not None, found.reply
    assert told(found.plan) == steps
    assert judged(found.plan, text).verdict == "allow"


def test_it_is_said_that_it_will_be_put_back() -> None:
    found = understand("turn the kitchen light on for ten minutes")
    assert "I will put it back in ten minutes." in CORTEX.answer(found, household(), NOW_MS)


def test_until_a_time_of_day_ends_then() -> None:
    text = "keep the kitchen light on until half past eleven"
    found = understand(text)
    assert found.plan is not None
    ends = int(datetime(2026, 11, 27, 11, 30, tzinfo=ZoneInfo(ZONE)).timestamp()) * 1000
    assert told(found.plan) == [
        ("light.turn_on", "light.kitchen_ceiling"),
        ends,
        ("light.turn_off", "light.kitchen_ceiling"),
    ]
    assert judged(found.plan, text).verdict == "allow"


def test_german_has_it_too() -> None:
    found = understand("mach das Küchenlicht für zehn Minuten an", GERMAN)
    lasting = understand("schalte kitchen light zehn Minuten lang ein", GERMAN)
    for one in (found, lasting):
        if one.plan is not None:
            assert told(one.plan)[1] == 10 * MINUTE
    assert found.plan is not None or lasting.plan is not None


@pytest.mark.parametrize(
    "text",
    [
        "lock the front door for an hour",  # it would unlock itself
        "activate movie night for an hour",
    ],
)
def test_what_cannot_be_put_back_is_not_begun(text: str) -> None:
    found = understand(text)
    assert found.plan is None
    assert found.understood


@pytest.mark.parametrize(
    "text",
    [
        "if it rains turn the kitchen light on for ten minutes",
        "do not turn the kitchen light on for ten minutes",
        "turn the kitchen light on until I come home",
        "he kept the kitchen light on for ten minutes",
    ],
)
def test_what_has_a_condition_or_was_only_told_is_left_alone(text: str) -> None:
    assert understand(text).plan is None


def test_then_comes_after_the_end_and_is_not_told_as_done() -> None:
    text = "turn the kitchen light on for ten minutes and then lock the front door"
    found = understand(text)
    assert found.plan is not None
    assert found.plan.steps[-1].after == (found.plan.steps[-2].id,)
    assert "After that: lock the front door." in CORTEX.answer(found, household(), NOW_MS)


# The review: what acts is the plan of the words, and nothing that only looks like it.

TEXT = "turn the kitchen light on for ten minutes"


def changed(text: str, change: Any) -> str:
    found = understand(text)
    assert found.plan is not None
    document = plan_to_document(found.plan)
    document["steps"] = list(document["steps"])
    change(document["steps"])
    return judged(plan_from_document(document), text).verdict


def _wait(steps: list[dict[str, Any]]) -> dict[str, Any]:
    return next(step for step in steps if "pause" in step)


def _no_wait(steps: list[dict[str, Any]]) -> None:
    steps.remove(_wait(steps))
    steps[-1]["after"] = [steps[0]["id"]]


def _longer(steps: list[dict[str, Any]]) -> None:
    _wait(steps)["pause"]["for_ms"]["$value"] *= 10


def _another(steps: list[dict[str, Any]]) -> None:
    steps[-1]["args"]["entities"]["$value"] = ["switch.coffee"]


def _more(steps: list[dict[str, Any]]) -> None:
    steps[-1]["args"]["entities"]["$value"] = [*steps[-1]["args"]["entities"]["$value"], "light.hall"]


def _unlocks(steps: list[dict[str, Any]]) -> None:
    steps[-1] |= {"call": "home.access"}
    steps[-1]["args"] = {"service": "lock.unlock", "entities": ["lock.front"], "data": {}}


def _before(steps: list[dict[str, Any]]) -> None:
    """The wait comes first, and both acts after it, in no order."""
    wait = _wait(steps)
    wait["after"] = []
    for step in steps:
        if step is not wait:
            step["after"] = [wait["id"]]


def _alone(steps: list[dict[str, Any]]) -> None:
    """Only the end of it."""
    steps.remove(steps[0])
    _wait(steps)["after"] = []


def _sets(steps: list[dict[str, Any]]) -> None:
    steps[-1]["args"]["data"] = {"transition": 300}


@pytest.mark.parametrize("change", [_no_wait, _longer, _another, _more, _unlocks, _before, _alone, _sets])
def test_a_plan_that_only_looks_like_it_is_not_allowed(change: Any) -> None:
    assert changed(TEXT, change) != "allow"


def test_without_the_words_for_a_while_the_opposite_is_not_put_back() -> None:
    found = understand(TEXT)
    assert found.plan is not None
    for text in ("turn the kitchen light on", "turn the kitchen light on in ten minutes"):
        assert judged(found.plan, text).verdict != "allow"


def test_nothing_unlocks_itself_after_a_while() -> None:
    def swap(steps: list[dict[str, Any]]) -> None:
        for step, service in ((steps[0], "lock.lock"), (steps[-1], "lock.unlock")):
            step["args"]["service"] = service

    found = understand("unlock the front door for five minutes")
    assert found.plan is not None
    document = plan_to_document(found.plan)
    document["steps"] = list(document["steps"])
    swap(document["steps"])
    text = "lock the front door for five minutes"
    assert judged(plan_from_document(document), text).verdict != "allow"


# The sun.


@pytest.mark.parametrize(
    ("text", "hour", "minute"),
    [
        ("turn on the kitchen light at sunset", 15, 58),
        ("turn on the kitchen light half an hour before sunset", 15, 28),
        ("when the sun goes down, turn on the kitchen light", 15, 58),
        ("an hour after sunset turn on the kitchen light", 16, 58),
        ("turn on the kitchen light when it gets dark", 15, 58),
    ],
)
def test_the_sun_sets_where_the_home_is(text: str, hour: int, minute: int) -> None:
    found = understand(text)
    assert found.plan is not None, found.reply
    wait, act = told(found.plan)
    assert act == ("light.turn_on", "light.kitchen_ceiling")
    about = int(datetime(2026, 11, 27, hour, minute, tzinfo=ZoneInfo(ZONE)).timestamp()) * 1000
    assert abs(wait - about) < 3 * MINUTE
    assert judged(found.plan, text).verdict == "allow"


def test_sunrise_is_the_next_one_and_a_day_that_was_said_counts() -> None:
    for text in ("turn off the kitchen light at sunrise", "turn off the kitchen light at dawn tomorrow"):
        found = understand(text)
        assert found.plan is not None, found.reply
        wait = told(found.plan)[0]
        about = int(datetime(2026, 11, 28, 7, 48, tzinfo=ZoneInfo(ZONE)).timestamp()) * 1000
        assert abs(wait - about) < 3 * MINUTE


def test_a_light_stays_on_until_sunrise() -> None:
    found = understand("keep the kitchen light on until sunrise")
    assert found.plan is not None, found.reply
    assert told(found.plan)[2] == ("light.turn_off", "light.kitchen_ceiling")


def test_where_nobody_knows_where_the_home_is_it_is_said_how_to_tell() -> None:
    for text in (
        "turn on the kitchen light at sunset",
        "keep the kitchen light on until sunset",
        "remind me at sunset to close the shed",
    ):
        found = understand(text, place=None)
        assert found.plan is None
        assert "[household]" in (found.reply or found.question or CORTEX.answer(found, household(), NOW_MS))


def test_a_day_without_a_sunset_says_so() -> None:
    found = understand("turn on the kitchen light at sunset", place=(78.2, 15.6))
    assert found.plan is None
    assert "does not rise or set" in found.reply


def test_a_question_about_the_sun_waits_for_nothing() -> None:
    assert understand("what time is sunset").plan is None
