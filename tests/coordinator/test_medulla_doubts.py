"""What was said against a step ahead is asked about at its permit, and so is what the plan itself says came from
outside, whatever the owner's policy allows."""

from __future__ import annotations

from typing import Any

import pytest
from tests.coordinator.test_medulla_bounds import Bounded
from tests.coordinator.test_medulla_review import TEXT, Reviewing, control, said

from kindmesh.coordinator.brain.desk.doubts import doubts_of
from kindmesh.coordinator.brain.desk.judging import Why
from kindmesh.coordinator.brain.desk.routing import routed
from kindmesh.coordinator.brain.medulla import messages as m
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.manifest import Effect
from kindmesh.protocol.plan import plan_from_document
from kindmesh.protocol.plan_labels import Label, Source
from kindmesh.protocol.policy import Policy, Rule, sign_policy
from kindmesh.protocol.utterance_evidence import ArgumentLabel

LIGHT_ARGS = {"service": "light.turn_off", "entities": ["light.kitchen"], "data": {}}
OPEN = {"service": "lock.unlock", "entities": ["lock.front_door"], "data": {}}


class Allowing(Reviewing):
    """The owner allows everything outright."""

    def __init__(self) -> None:
        super().__init__()
        self.allow(Rule("*", int(sum(Effect)), "allow"))

    def allow(self, *rules: Rule) -> None:
        before = self.beliefs.policy
        policy = Policy(self.mesh, before.version + 1, self.now_ms, rules, before.roles, before.guards)
        self.ask(m.Install(sign_policy(policy, self.owner)))

    def control(
        self, args: Any, *labels: ArgumentLabel, operation: str = "home.control", **more: Any
    ) -> m.Verdict:
        verdict = self.ask(self.request(operation, args=encode_value(args), labels=labels, **more))
        assert isinstance(verdict, m.Verdict)
        return verdict


@pytest.fixture
def home() -> Allowing:
    return Allowing()


def of(source: Source, path: str = "entities.0") -> ArgumentLabel:
    return ArgumentLabel(path, Label(source))


def test_an_outright_allow_needs_no_words_neither_ahead_nor_at_the_permit(home: Allowing) -> None:
    assert home.control(LIGHT_ARGS).answer == "allow"
    assert home.control(LIGHT_ARGS, of("user")).answer == "allow"
    assert home.control(LIGHT_ARGS, of("memory")).answer == "allow"
    assert home.review(control("light.kitchen"), None).answer == "allow"
    assert home.review(control("light.kitchen"), home.said("turn it off")).answer == "allow"


@pytest.mark.parametrize("source", ["model", "web", "device"])
def test_what_a_plan_says_came_from_elsewhere_asks_in_spite_of_an_allow_ahead_and_at_the_permit(
    home: Allowing, source: Source
) -> None:
    asked = home.control(LIGHT_ARGS, of(source))
    assert (asked.answer, asked.rules) == ("ask", ("sink",))
    assert "kitchen light" in asked.reasons[0]
    assert home.ask(home.approval(asked.request)).answer == "allow"
    value = {"$value": ["light.kitchen"], "$label": {"source": source}}
    args = {"service": "light.turn_off", "entities": value, "data": {}}
    plan = plan_from_document({"plan": 1, "steps": [{"id": "s", "call": "home.control", "args": args}]})
    assert home.review(plan, home.said("turn it off")).answer == "ask"


def test_what_a_model_wrote_and_somebody_said_is_allowed(home: Allowing) -> None:
    verdict = home.control(LIGHT_ARGS, of("model"), evidence=home.said(TEXT))
    assert verdict.answer == "allow"


def test_a_door_that_the_web_names_is_refused_in_spite_of_an_allow(home: Allowing) -> None:
    verdict = home.control(OPEN, of("web"), operation="home.access")
    assert (verdict.answer, verdict.rules) == ("deny", ("sink",))
    assert home.control(OPEN, of("user"), operation="home.access").answer == "allow"


def test_a_value_beside_it_does_not_matter(home: Allowing) -> None:
    assert home.control(LIGHT_ARGS, of("model", "data")).answer == "allow"


def test_values_that_are_no_map_are_the_devices_affair(home: Allowing) -> None:
    assert home.control("all", of("model", "")).answer == "allow"


def test_doubts_ask_and_one_yes_settles_them(home: Allowing) -> None:
    asked = home.control(LIGHT_ARGS, doubts=("it is odd", "it is late", "it is odd"))
    assert (asked.answer, asked.rules, asked.reasons) == ("ask", ("doubt",), ("it is odd; it is late",))
    home.beliefs = home.restored()
    assert home.ask(home.approval(asked.request)).answer == "allow"


def test_doubts_make_nothing_milder() -> None:
    home = Bounded()
    home.bound()
    assert home.tell(target=home.mesh, doubts=("it is odd",)).answer == "deny"


def test_sentences_go_with_the_step_that_they_are_about_also_when_it_became_several() -> None:
    entities = said(["light.a", "light.b"], "lights")
    steps = [
        {
            "id": "s",
            "call": "home.control",
            "args": {"service": "light.turn_off", "entities": entities, "data": {}},
        },
        {"id": "s_9", "call": "home.note", "args": {}},
        {"id": "deep", "sub": {"plan": {"plan": 1, "steps": [{"id": "x", "call": "home.note", "args": {}}]}}},
    ]
    plan = plan_from_document({"plan": 1, "steps": steps})
    split = routed(plan, {"light.a": "AAA", "light.b": "BBB"}, lambda device, operation: 1)
    assert [step.id for step in split.steps] == ["s", "s_2", "s_9", "deep"]
    reasons = [
        Why("asked-for", "s", "nobody said so"),
        Why("policy", "s_9", "the owner's policy asks"),
        Why("sink", "deep.x", "who gets this"),
        Why("quiet-hours", "s", "it is quiet time"),
    ]
    one = ("nobody said so",)
    assert doubts_of(reasons, split) == {"s": one, "s_2": one, "deep.x": ("who gets this",)}
    second = doubts_of([Why("second", "", "it looks odd")], split)
    assert second == {step.id: ("it looks odd",) for step in split.steps}
