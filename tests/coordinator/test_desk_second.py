"""A second reviewer's answer: what cannot be used asks, and it is never shown what was said."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.coordinator.test_medulla_review import Reviewing, control

from kindmesh.coordinator.brain.desk.second import WHY_MAX, plain, read_opinion
from kindmesh.coordinator.brain.medulla import messages as m
from kindmesh.protocol.plan import plan_to_bytes, plan_to_document
from kindmesh.protocol.policy import SEVERITY
from kindmesh.protocol.principal import OWNER

LIGHT = "turn off the kitchen light"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"verdict": "deny", "why": "It opens the door."}', m.Opinion("deny", "It opens the door.")),
        ('```json\n{"verdict": "allow", "why": ""}\n```', m.Opinion("allow", "")),
        (' {"verdict": "ask"} ', m.Opinion("ask", "")),
        ('{"verdict": "ask", "why": "a\\u0007b\\n\\nc"}', m.Opinion("ask", "a b c")),
    ],
)
def test_an_answer_is_read(text: str, found: m.Opinion) -> None:
    assert read_opinion(text) == found


@pytest.mark.parametrize(
    "text",
    [None, 7, "", "allow", "Yes, fine!", "{}", '{"verdict": "maybe"}', '{"verdict": "allow"} ok', '["allow"]',
     '{"verdict": "allow", "why": 5}', "[" * 100_000],
)  # fmt: skip
def test_what_is_no_answer_asks(text: Any) -> None:
    assert read_opinion(text).answer == "ask"


@given(st.text())
def test_whatever_a_model_writes_it_is_an_opinion(text: str) -> None:
    found = read_opinion(text)
    assert found.answer in SEVERITY
    assert len(found.why) <= WHY_MAX


def test_it_is_shown_values_and_where_they_came_from_and_no_words() -> None:
    shown = plain(plan_to_document(control("light.kitchen", words="turn off the kitchen light")))
    assert shown["steps"][0]["args"]["entities"] == {"value": ["light.kitchen"], "from": "user"}
    assert "words" not in str(shown)
    assert "turn off the" not in str(shown)


@pytest.mark.parametrize("first", ["allow", "ask"])
def test_it_only_makes_the_verdict_worse(first: str) -> None:
    home = Reviewing()
    shown = home.said(LIGHT if first == "allow" else "what is the time")

    def review(opinion: m.Opinion | None) -> m.PlanVerdict:
        request = m.PlanReview(plan_to_bytes(control("light.kitchen")), OWNER, evidence=shown, second=opinion)
        verdict = home.ask(request)
        assert isinstance(verdict, m.PlanVerdict)
        return verdict

    assert review(None).answer == first
    assert review(m.Opinion("allow", "All is well.")) == review(None)
    asked = review(m.Opinion("ask", "It is odd.\nReally."))
    assert asked.answer == "ask"
    denied = review(m.Opinion("deny", "It is odd.\nReally."))
    assert (denied.answer, denied.reasons[0].rule) == ("deny", "second")
    assert denied.reasons[0].message == "a second reviewer has doubts about this plan: It is odd. Really."
    assert review(m.Opinion("deny")).reasons[0].message == "a second reviewer has doubts about this plan"
