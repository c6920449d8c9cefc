"""Answers to "which one do you mean": the candidates are those of the question, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from tests.brain.household import NOW_MS, household

from kindmesh.capabilities.home.model import Entity, Home
from kindmesh.coordinator.brain.cortex.cortex import Cortex
from kindmesh.coordinator.brain.cortex.terms import Situation, Turn, Understanding
from kindmesh.coordinator.brain.desk.batch import HOME_OPERATIONS

CORTEX = Cortex("en")


def home() -> Home:
    return household().with_entities(
        Entity("light.bed_left", "Bedside Lamp", (), "bedroom", "off", {}),
        Entity("light.bed_right", "Bedside Lamp", (), "nursery", "off", {}),
    )


def said(*texts: str, age_ms: int = 0, **other: Any) -> Understanding:
    """What the last sentence means after the others."""
    turns: tuple[Turn, ...] = ()
    for text in texts[:-1]:
        found = CORTEX.understand(
            text, Situation(home(), NOW_MS, turns=turns, operations=HOME_OPERATIONS, **other)
        )
        turns = (*turns, Turn(text, found.recognised, found.reply, NOW_MS - age_ms))
    return CORTEX.understand(
        texts[-1], Situation(home(), NOW_MS, turns=turns, operations=HOME_OPERATIONS, **other)
    )


def things(found: Understanding) -> list[str]:
    return sorted(one for part in found.recognised for act in part.acts for one in act.args["entities"])


QUESTION = "turn on the bedside lamp"
LAMPS = ["light.bed_left", "light.bed_right"]


def test_the_question_has_candidates() -> None:
    found = said(QUESTION)
    assert found.question
    assert sorted(found.recognised[-1].entities) == LAMPS


@pytest.mark.parametrize(
    ("answer", "meant"),
    [
        ("the first one", LAMPS[:1]),
        ("the second", LAMPS[1:]),
        ("the last one please", LAMPS[1:]),
        ("the one in the main bedroom", LAMPS[:1]),
        ("Emma's", LAMPS[1:]),
        ("the nursery one", LAMPS[1:]),
        ("both", LAMPS),
        ("all of them", LAMPS),
    ],
)
def test_an_answer_chooses_among_the_candidates(answer: str, meant: list[str]) -> None:
    found = said(QUESTION, answer)
    assert found.plan is not None, found.reply
    assert things(found) == meant
    services = {act.args["service"] for part in found.recognised for act in part.acts}
    assert services == {"light.turn_on"}


def test_values_carry_the_words_of_the_answer_and_of_no_earlier_sentence() -> None:
    found = said(QUESTION, "the first one")
    assert found.plan is not None
    label = found.plan.steps[0].args["entities"]["$label"]
    assert label == {"source": "user", "words": ["the", "first", "one"]}


def test_the_other_one_is_that_which_was_not_done_just_now() -> None:
    assert things(said("turn on the nursery bedside lamp", QUESTION, "the other one")) == LAMPS[:1]


def test_the_other_one_of_two_that_nobody_has_chosen_from_is_asked_again() -> None:
    found = said(QUESTION, "the other one")
    assert found.plan is None
    assert "Bedside Lamp (Main Bedroom)" in found.question


@pytest.mark.parametrize(
    "answer", ["the third one", "the kitchen one", "neither", "none of them", "the blue one"]
)
def test_what_is_not_among_the_candidates_is_not_done(answer: str) -> None:
    assert not things(said(QUESTION, answer))


def test_an_answer_that_comes_too_late_is_none() -> None:
    assert not things(said(QUESTION, "the first one", age_ms=600_000))


def test_a_new_command_is_no_answer() -> None:
    assert things(said(QUESTION, "turn on the kettle")) == ["switch.kettle"]


def test_two_doors_are_unlocked_one_by_one() -> None:
    found = said("unlock the door", "both")
    assert found.plan is None
    assert "Front Door" in found.question
    assert things(said("unlock the door", "the front one")) == ["lock.front"]


def test_a_number_that_is_a_pronoun_is_no_brightness() -> None:
    assert not things(said("the kitchen one"))
