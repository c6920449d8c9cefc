"""What "never mind" calls off, and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.coordinator.test_desk_told import CORTICES, home

from kindmesh.coordinator.brain.cortex.terms import Situation, Turn, Understanding
from kindmesh.coordinator.brain.desk.calling_off import Rest, called_off, rest_of, takes_back
from kindmesh.coordinator.brain.desk.wording import plain_text
from kindmesh.protocol.plan import Plan, plan_from_document

T0 = 1_800_000_000_000


def light(name: str, service: str, *after: str) -> dict[str, Any]:
    args = {"service": service, "entities": [f"light.{name}"], "data": {}}
    return {"id": name, "call": "home.control", "args": args, "after": list(after)}


PLAN: Plan = plan_from_document({
    "plan": 1,
    "steps": [
        light("hall", "light.turn_on"), {"id": "wait", "pause": {"for_ms": 600_000}},
        light("kitchen", "light.turn_off", "wait"),
    ],
})  # fmt: skip


def item(step: str, state: str, path: str = "") -> dict[str, Any]:
    return {"path": path or step, "step": step, "state": state}


def ids(rest: Rest) -> dict[str, list[str]]:
    return {name: [step.id for step in getattr(rest, name)] for name in ("undone", "done", "unclear", "back")}


def test_how_steps_stand_is_what_the_run_shows() -> None:
    waiting = [item("hall", "succeeded"), item("wait", "pausing")]
    assert ids(rest_of(PLAN, waiting)) == {"undone": ["kitchen"], "done": ["hall"], "unclear": [], "back": []}
    assert ids(rest_of(PLAN, [item("kitchen", "cancelled"), item("hall", "failed")]))["undone"] == [
        "hall",
        "kitchen",
    ]
    unsure = [*waiting, item("kitchen", "uncertain")]
    assert ids(rest_of(PLAN, unsure))["unclear"] == ["kitchen"]
    undone = [*waiting, item("hall", "succeeded", "undo:hall"), item("kitchen", "cancelled", "undo:kitchen")]
    assert ids(rest_of(PLAN, undone)) == {"undone": ["kitchen"], "done": [], "unclear": [], "back": ["hall"]}


@pytest.mark.parametrize(
    ("after", "said", "german"),
    [
        ([], "I will not turn off the kitchen lamp.", "Gut, das geschieht nicht mehr."),
        (
            [item("kitchen", "succeeded")],
            "It was too late to call this off, it is done: turn off the kitchen lamp.",
            "Etwas davon war schon im Gang und ist geschehen.",
        ),
        (
            [item("kitchen", "uncertain")],
            "I do not know whether this was done: turn off the kitchen lamp. Please look.",
            "Ob alles unterblieben ist, weiß ich nicht: Bitte sieh nach.",
        ),
    ],
)
def test_what_came_of_calling_off_is_told_as_it_is(
    after: list[dict[str, Any]], said: str, german: str
) -> None:
    begun = [item("hall", "succeeded"), item("wait", "pausing")]
    before = rest_of(PLAN, begun)
    assert plain_text(called_off(before, rest_of(PLAN, begun + after), home())) == said
    assert plain_text(called_off(before, rest_of(PLAN, begun + after), home(), "de")) == german


def test_what_was_done_long_before_and_what_is_taken_back_is_told_too() -> None:
    all_done = rest_of(PLAN, [item("hall", "succeeded"), item("kitchen", "succeeded")])
    assert plain_text(called_off(all_done, all_done, home())) == "That is done already."
    assert plain_text(called_off(all_done, all_done, home(), "de")) == "Das ist schon geschehen."
    back = rest_of(PLAN, [item("hall", "succeeded"), item("hall", "succeeded", "undo:hall")])
    assert plain_text(called_off(Rest(), back, home())) == (
        "I will not turn off the kitchen lamp. I took this back: turn on the hall lamp."
    )


def understood(text: str, *turns: Turn, language: str = "en") -> Understanding:
    situation = Situation(home(), T0, language=language, turns=turns, operations=frozenset({"home.control"}))
    return CORTICES[language].understand(text, situation)


@pytest.mark.parametrize(
    "text",
    [
        "never mind",
        "forget it",
        "cancel that",
        "call it off",
        "call that off",
        "never mind that",
        "scratch that",
    ],
)
def test_these_words_take_back_what_was_said(text: str) -> None:
    assert takes_back(understood(text))


def test_others_do_not() -> None:
    for text in (
        "turn off the kitchen lamp",
        "what time is it",
        "cancel the timer",
        "turn it off, never mind",
    ):
        assert not takes_back(understood(text)), text
    assert takes_back(understood("vergiss es", language="de"))
    assert takes_back(understood("abbrechen", language="de"))
