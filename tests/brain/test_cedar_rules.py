"""What rules in Cedar answer: default deny, a forbid beats every permit, an asking rule asks, and the worst counts."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindmesh.capabilities.home.model import Entity
from kindmesh.capabilities.home.services import SERVICES, service_of
from kindmesh.coordinator.brain.medulla.cedar import CACHE_MAX, Asked, Rules
from kindmesh.coordinator.brain.medulla.cedar_asked import (
    about,
    service_for,
    weekday_of,
    whole_units,
    worst,
    worst_source,
)
from kindmesh.coordinator.brain.medulla.cedar_check import starter
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.guards import FIRST_GUARDS, settled_by_words
from kindmesh.protocol.manifest import Effect
from kindmesh.protocol.plan_labels import Label
from kindmesh.protocol.policy import SEVERITY, decide, first_policy

NIGHT, NOON = 1_350, 720
HEADS = (
    "permit (principal, action, resource)",
    '@answer("ask") permit (principal, action, resource)',
    'permit (principal in Role::"resident", action, resource)',
    "forbid (principal, action, resource)",
    '@answer("ask") forbid (principal, action, resource)',
    'forbid (principal in Role::"guest", action, resource)',
    'forbid (principal, action in Action::"effect.actuate", resource)',
    'forbid (principal, action == Action::"lock.unlock", resource)',
    'forbid (principal, action, resource in Area::"hall")',
)
TAILS = (
    "",
    " when { context.minute >= 1320 }",
    " unless { context.present }",
    ' when { resource.kind == "lock" }',
)
RULES = st.sampled_from([head + tail + ";" for head, tail in itertools.product(HEADS, TAILS)])
ASKED = st.builds(
    Asked,
    action=st.sampled_from(["lock.unlock", "light.turn_on"]),
    operation=st.just("home.access"),
    effects=st.sampled_from([1, 8, 16, 17]),
    role=st.sampled_from(["owner", "resident", "guest"]),
    thing=st.sampled_from(["lock.front_door", "light.hall", ""]),
    names=st.sampled_from([(), ("Hall",), ("Front door", "Hall")]),
    minute=st.sampled_from([NIGHT, NOON]),
    present=st.booleans(),
)


@given(st.lists(RULES, max_size=5), RULES, ASKED)
def test_a_forbid_more_is_never_milder_and_a_permit_more_never_graver(
    rules: list[str], more: str, asked: Asked
) -> None:
    before = Rules("\n".join(rules)).answer(asked).answer
    for with_it in ([*rules, more], [more, *rules]):
        after = Rules("\n".join(with_it)).answer(asked).answer
        if "forbid" in more:
            assert SEVERITY[after] >= SEVERITY[before]
        else:
            assert SEVERITY[after] <= SEVERITY[before]


@given(st.lists(RULES, max_size=5), ASKED)
def test_a_forbid_that_matches_wins_always(rules: list[str], asked: Asked) -> None:
    every = [*rules, "forbid (principal, action, resource);"]
    assert Rules("\n".join(every)).answer(asked).answer == "deny"


@given(
    st.lists(RULES, min_size=1, max_size=4),
    st.lists(RULES, min_size=1, max_size=4),
    st.lists(ASKED, min_size=1),
)
def test_of_several_rule_sets_and_questions_the_worst_counts(
    one: list[str], other: list[str], questions: list[Asked]
) -> None:
    sets = [Rules("\n".join(rules)) for rules in (one, other)]
    answers = [rules.answer(asked).answer for rules in sets for asked in questions]
    assert worst(sets, questions).answer == max(answers, key=SEVERITY.__getitem__)


def asked(**changes: object) -> Asked:
    usual = Asked(
        "lock.unlock", "home.access", 16, thing="lock.front_door", names=("Front door", "Hall"), device="pi"
    )
    return msgspec.structs.replace(usual, **changes)


@pytest.mark.parametrize(
    ("when", "changes", "matches"),
    [
        ('principal in Role::"guest"', {"role": "guest"}, True),
        ('principal == Person::"owner"', {}, True),
        ('principal.name == "Ben" && principal.kind == "goal"', {"name": "Ben", "kind": "goal"}, True),
        ('action == Action::"lock.unlock"', {}, True),
        ('action in Action::"lock"', {}, True),
        ('action in Action::"home.access"', {}, True),
        ('action in Action::"home"', {}, True),
        ('action in Action::"effect.actuate"', {}, True),
        ('action in Action::"effect.move"', {}, False),
        ('resource == Thing::"lock.front_door"', {}, True),
        ('resource in Area::"hall"', {}, True),
        ('resource in Area::"kitchen"', {}, False),
        ('resource in Device::"pi"', {}, True),
        ('resource in Device::"pi" && resource.kind == "device"', {"thing": ""}, True),
        ('resource.names.contains("front door") && resource.name == "Front door"', {}, True),
        ("context.minute >= 1320 && context.weekday == 7", {"minute": NIGHT, "weekday": 7}, True),
        ("context.amount > 20", {"amount": 21}, True),
        ('context.source == "web"', {"source": "web"}, True),
        ('context.data.contains("health")', {"data": ("health",)}, True),
        ('context.area.contains("kitchen")', {"area": ("kitchen",)}, True),
        ('context["purpose"] == "care" && context.operation == "home.access"', {"purpose": "care"}, True),
        (
            'context.service == "lock.unlock" && !context.said && !context.proven',
            {"service": "lock.unlock"},
            True,
        ),
    ],
)
def test_rules_see_who_what_with_which_thing_and_when(
    when: str, changes: dict[str, object], matches: bool
) -> None:
    rules = Rules(f"permit (principal, action, resource) when {{ {when} }};")
    assert rules.problem == ""
    assert (rules.answer(asked(**changes)).answer == "allow") is matches


def test_the_answer_says_which_rule_made_it() -> None:
    rules = Rules(
        '@id("all") permit (principal, action, resource);\n'
        '@id("box") @answer("ask") @says("the caregiver has to say yes") '
        'forbid (principal, action, resource == Thing::"lock.medicine_box");\n'
        'forbid (principal, action, resource == Thing::"lock.safe");'
    )
    assert rules.answer(asked()).rules == ("all",)
    box = rules.answer(asked(thing="lock.medicine_box"))
    assert (box.answer, box.reason) == ("ask", "the caregiver has to say yes (rule box)")
    safe = rules.answer(asked(thing="lock.safe", names=()))
    assert (safe.answer, safe.rules) == ("deny", ("line 3",))
    assert "lock.unlock on lock.safe" in safe.reason


def test_what_does_not_matter_to_any_rule_is_answered_from_memory_which_is_bounded() -> None:
    rules = Rules('permit (principal in Role::"owner", action, resource);')
    assert not rules.needs("minute")
    first = rules.answer(asked(minute=1))
    assert rules.answer(asked(minute=2, said=True, amount=7, area=("x",))) is first
    assert rules.answer(asked(role="guest")).answer == "deny"
    for number in range(CACHE_MAX + 10):
        rules.answer(asked(thing=f"lock.l{number}"))
    assert len(rules._answers) <= CACHE_MAX
    whole = Rules("permit (principal, action, resource) when { context == context };")
    assert whole.needs("minute")


@pytest.mark.parametrize("said", [False, True])
@pytest.mark.parametrize("present", [False, True])
@pytest.mark.parametrize(
    "operation", ["home.control", "home.access", "home.note", "notes.append", "shop.buy"]
)
@pytest.mark.parametrize("effects", [1, 8, 9, 2, 4, 16, 32, 64, 128, 17, 255])
def test_the_starter_set_answers_as_the_first_policy(
    said: bool, present: bool, operation: str, effects: int
) -> None:
    expected = decide(first_policy(bytes(20), 0), operation, effects)
    if expected == "ask" and said and settled_by_words(FIRST_GUARDS, operation, present):
        expected = "allow"
    wish = asked(operation=operation, action=operation, effects=effects, said=said, present=present)
    assert Rules(starter()).answer(wish).answer == expected


def test_a_text_that_does_not_hold_denies_everything_and_says_why() -> None:
    for text in ("permit (", "permit (principal, action, resource) whn { true };"):
        rules = Rules(text)
        assert rules.problem
        assert rules.answer(asked()).answer == "deny"


def test_a_service_has_the_name_that_the_home_takes_it_by() -> None:
    domains = {name.partition(".")[0] for name in SERVICES}
    for domain, verb in itertools.product(sorted(domains), ("turn_on", "turn_off", "toggle")):
        try:
            known = service_of(Entity(f"{domain}.x", "x"), f"homeassistant.{verb}").name
        except InvalidInput:
            continue
        assert service_for(f"{domain}.x", f"homeassistant.{verb}") == known
    for name in SERVICES:
        assert service_for(f"{name.partition('.')[0]}.x", name) == name
    assert service_for("list.shopping", "list.add_item") == "todo.add_item"


def test_a_call_is_asked_about_each_of_its_things_once() -> None:
    args = {"service": "lock.unlock", "entities": ["lock.a", "lock.b", "lock.a"]}
    found = about(asked(), args, {"lock.a": ("A",)})
    assert [(one.action, one.thing, one.names) for one in found] == [
        ("lock.unlock", "lock.a", ("A",)), ("lock.unlock", "lock.b", ()),
    ]  # fmt: skip
    (whole,) = about(asked(operation="notes.append"), {"entities": "x"}, {})
    assert (whole.action, whole.thing, whole.service) == ("notes.append", "", "")


def test_small_things_are_what_they_are() -> None:
    assert worst_source([]) == "user"
    assert worst_source([Label("memory"), Label("web"), Label("user")]) == "web"
    assert worst_source([Label("user"), None]) == "model"
    assert [weekday_of(day * 86_400_000) for day in range(8)] == [4, 5, 6, 7, 1, 2, 3, 4]
    assert [whole_units(amount) for amount in (0, 19.01, float("inf"), float("nan"), -1)] == [
        0, 20, 10**12, 10**12, 10**12,
    ]  # fmt: skip
    assert int(Effect.ACTUATE) == 16
