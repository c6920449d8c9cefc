"""The pipeline: whole sentences, compound ones, delays, what is refused, and the plan that comes out."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.brain.small_home import NOW_MS, PlainSentences, situation

from kindmesh.coordinator.brain.cortex.cortex import Cortex
from kindmesh.coordinator.brain.cortex.routines import Routine
from kindmesh.coordinator.brain.cortex.terms import UTTERANCE_WORDS_MAX, Understanding, words_of
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.plan import Plan, plan_from_document, plan_to_document
from kindmesh.protocol.plan_check import check_plan
from kindmesh.protocol.plan_labels import Label

CORTEX = Cortex("en", home=PlainSentences())
MINUTE = 60_000


def understand(text: str) -> Understanding:
    return CORTEX.understand(text, situation())


def calls(understanding: Understanding) -> list[tuple[str, list[str]]]:
    """Service and entities of each call, in order."""
    assert understanding.plan is not None, understanding.reply or understanding.question
    return [
        (step.args["service"]["$value"], step.args["entities"]["$value"])
        for step in understanding.plan.steps
        if step.call
    ]


def test_a_polite_noisy_sentence_is_the_plain_one() -> None:
    said = understand("Hey Kindmesh, um, could you please turn turn off the kitchen light for me, please?")
    assert calls(said) == [("light.turn_off", ["light.kitchen"])]


def test_values_carry_the_words_they_came_from() -> None:
    said = understand("please lock the front door")
    assert said.plan is not None
    assert said.plan.steps[0].args["entities"]["$label"] == {
        "source": "user",
        "words": ["lock", "the", "front", "door"],
    }
    assert said.plan.steps[0].args["data"] == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("turn off the kitchen light and lock the front door", ["light.kitchen", "lock.front"]),
        ("turn off the kitchen light, then lock the front door", ["light.kitchen", "lock.front"]),
        ("turn on the kitchen and bedroom lights", ["light.kitchen", "light.bedroom"]),
        ("turn off the lights in the hall and the bedroom", ["light.hall", "light.bedroom"]),
        (
            "turn on the kitchen light, the hall light and the bedroom light",
            ["light.kitchen", "light.hall", "light.bedroom"],
        ),
        ("turn the kitchen light and the hall light off", ["light.kitchen", "light.hall"]),
        ("turn on the salt and pepper lamp", ["light.salt"]),
        ("turn on the salt and pepper lamp and the hall light", ["light.salt", "light.hall"]),
    ],
)  # fmt: skip
def test_compound_sentences_do_each_thing(text: str, expected: list[str]) -> None:
    assert [ids[0] for _, ids in calls(understand(text))] == expected


def test_one_part_that_is_not_understood_stops_all_of_it() -> None:
    said = understand("turn off the kitchen light and paint the fence")
    assert not said.understood
    assert said.plan is None
    assert "paint the fence" in said.reply


@pytest.mark.parametrize(
    "text",
    [
        "do not turn on the kitchen light", "don't turn off the kitchen light", "never unlock the front door",
        "if it rains turn off the kitchen light", "turn off the kitchen light when I leave",
        "when I come home, turn on the hall light", "make me a sandwich", "",
    ],
)  # fmt: skip
def test_nothing_is_done_with_what_is_not_sure(text: str) -> None:
    said = understand(text)
    assert not said.understood
    assert said.plan is None
    assert said.reply


def test_a_delay_waits_before_the_call() -> None:
    said = understand("turn off the kitchen light in ten minutes")
    assert said.plan is not None
    wait, act = said.plan.steps
    assert wait.pause is not None
    assert wait.pause.for_ms["$value"] == 10 * MINUTE
    assert "ten" in wait.pause.for_ms["$label"]["words"]
    assert act.after == (wait.id,)


def test_a_clock_time_is_waited_for() -> None:
    said = understand("at half past seven turn on the hall light")
    assert said.plan is not None
    assert said.plan.steps[0].pause is not None
    assert said.plan.steps[0].pause.until_ms["$value"] == NOW_MS + (9 * 60 + 30) * MINUTE


def test_a_delay_at_the_end_holds_for_the_last_part_only() -> None:
    said = understand("turn off the kitchen light and lock the front door in ten minutes")
    assert [part.clause.delay_ms for part in said.recognised] == [0, 10 * MINUTE]


def test_a_delay_at_the_beginning_holds_for_every_part() -> None:
    said = understand("in ten minutes turn off the kitchen light and lock the front door")
    assert [part.clause.delay_ms for part in said.recognised] == [10 * MINUTE, 10 * MINUTE]


def test_parts_that_share_a_verb_share_its_delay() -> None:
    said = understand("turn off the kitchen light and the hall light in ten minutes")
    assert [part.clause.delay_ms for part in said.recognised] == [10 * MINUTE, 10 * MINUTE]


def test_a_door_is_not_unlocked_now_when_later_may_have_been_meant() -> None:
    said = understand("unlock the front door and turn on the hall light in ten minutes")
    assert said.question
    assert said.plan is None


def test_a_part_of_the_day_is_asked_about() -> None:
    said = understand("turn on the hall light tomorrow morning")
    assert said.question == "At what time tomorrow morning?"
    assert said.plan is None


def test_then_orders_the_steps_and_and_does_not() -> None:
    ordered = understand("turn off the kitchen light and then turn on the hall light").plan
    free = understand("turn off the kitchen light and turn on the hall light").plan
    assert ordered is not None
    assert free is not None
    assert ordered.steps[1].after == (ordered.steps[0].id,)
    assert free.steps[1].after == ()


def test_the_same_thing_twice_is_done_in_order() -> None:
    plan = understand("turn on the hall light and turn off the hall light in ten minutes").plan
    assert plan is not None
    assert plan.steps[1].after == (plan.steps[0].id,)


def test_a_question_has_an_answer_and_no_plan() -> None:
    said = understand("tell me if the kitchen light is on")
    assert said.understood
    assert said.plan is None
    assert said.reply == "It is."


ROUTINE = Routine(
    "r1", "movie time in the {area} [at {level}] percent",
    plan_from_document(
        {
            "plan": 1,
            "inputs": {"area": {"type": "text"}, "level": {"type": "integer"}},
            "steps": [{"id": "dim", "call": "home.control", "args": {
                "service": "light.turn_on", "entities": [], "data": {"area_id": {"$from": "inputs.area"},
                "brightness_pct": {"$from": "inputs.level"}}}}],
        }
    ),
)  # fmt: skip


def test_a_learned_routine_is_bound_to_the_words_and_comes_first() -> None:
    cortex = Cortex("en", [ROUTINE], home=PlainSentences())
    said = cortex.understand("Movie time in the bedroom at twenty five percent, please", situation())
    assert said.plan is not None
    check_plan(said.plan)
    data = said.plan.steps[0].args["data"]
    assert data["area_id"] == {"$value": "bedroom", "$label": {"source": "user", "words": ["bedroom"]}}
    assert data["brightness_pct"] == {"$value": 25, "$label": {"source": "user", "words": ["twenty", "five"]}}
    assert not said.plan.inputs


def test_a_routine_whose_slot_does_not_fit_is_no_match() -> None:
    cortex = Cortex("en", [ROUTINE], home=PlainSentences())
    assert not cortex.understand("movie time in the garage at 20 percent", situation()).understood


def test_a_routine_needs_the_same_slots_as_its_plan() -> None:
    wrong = Routine("r", "movie time", ROUTINE.plan)
    with pytest.raises(InvalidInput, match="slot"):
        Cortex("en", [wrong], home=PlainSentences())


def test_what_is_too_long_is_refused() -> None:
    with pytest.raises(InvalidInput):
        understand("on " * (UTTERANCE_WORDS_MAX + 1))
    with pytest.raises(InvalidInput):
        understand("o" * 5000)


def _labels(value: object) -> list[Label]:
    if isinstance(value, dict):
        if "$label" in value:
            return [msgspec.convert(value["$label"], Label)]
        return [label for item in value.values() for label in _labels(item)]
    return [label for item in value for label in _labels(item)] if isinstance(value, (list, tuple)) else []


_WORDS = st.sampled_from(
    [
        "turn", "on", "off", "the", "kitchen", "light", "hall", "and", "then", ",", "in", "ten", "minutes", "at",
        "half", "past", "seven", "pm", "tomorrow", "not", "lock", "unlock", "front", "door", "please", "um", "stop",
        "remind",
        "me", "to", "add", "milk", "list", "set", "timer", "for", '"quoted"', "it's", "every", "day", "monday", "7:30",
        "20%", "?", "an", "hour", "a",
    ]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=80), st.lists(_WORDS, max_size=14).map(" ".join)))
def test_any_text_gets_an_answer_a_question_or_a_valid_plan_and_always_the_same(text: str) -> None:
    said = understand(text)
    assert said == understand(text)
    heard = words_of(text)
    for part in said.recognised:
        assert all(0 <= at < len(heard) for at in part.clause.words)
    if isinstance(said.plan, Plan):
        check_plan(said.plan)
        assert not said.question
        for label in _labels(plan_to_document(said.plan)):
            assert all(word in heard for word in label.words)
    else:
        assert said.reply or said.question or said.understood


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("it is so loud, turn off the hall light", ["light.hall"]),
        ("I'm tired so turn off the hall light", ["light.hall"]),
        ("and turn off the hall light", ["light.hall"]),
        ("turn the kitchen light off and the hall light as well", ["light.kitchen", "light.hall"]),
        ("turn the kitchen light and the hall light on", ["light.kitchen", "light.hall"]),
    ],
)
def test_what_stands_around_a_command_does_not_hide_it(text: str, expected: list[str]) -> None:
    assert [ids[0] for _, ids in calls(understand(text))] == expected


@pytest.mark.parametrize(
    "text",
    ["it is dark in the bedroom, turn on the light", "paint the fence, turn off the hall light",
     "I am not here, turn off the hall light"],
)  # fmt: skip
def test_only_a_statement_that_names_nothing_is_passed_over(text: str) -> None:
    assert understand(text).plan is None


@pytest.mark.parametrize(
    "text",
    ["turn off the lights except the salt and pepper lamp", "turn off the lights but leave the salt lamp on",
     "turn off the lights apart from the salt lamp"],
)  # fmt: skip
def test_what_is_excepted_stays_as_it_is(text: str) -> None:
    assert calls(understand(text)) == [("light.turn_off", ["light.kitchen"])]


@pytest.mark.parametrize(
    "text", ["turn off the lights except the front door", "turn off the lights except the moon"]
)
def test_an_exception_that_makes_no_sense_stops_all_of_it(text: str) -> None:
    assert understand(text).plan is None


def test_a_duration_in_a_compound_sentence_stays_whole() -> None:
    said = understand("turn off the hall light and lock the front door in an hour and a half")
    assert [part.clause.delay_ms for part in said.recognised] == [0, 90 * MINUTE]


@pytest.mark.parametrize(
    "text", ["is the hall light on, no, lock the front door", "turn on the bedroom light, never mind"]
)
def test_it_is_not_done_when_it_is_open_what_was_taken_back(text: str) -> None:
    assert understand(text).plan is None


def test_what_is_taken_back_in_the_same_breath_is_not_done() -> None:
    said = understand("turn on the bedroom light, no, turn on the hall light")
    assert calls(said) == [("light.turn_on", ["light.hall"])]
    assert calls(understand("no, turn on the hall light")) == [("light.turn_on", ["light.hall"])]
