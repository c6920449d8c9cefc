"""The policy as text: there and back, and what is wrong is named with its line."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocol.samples import MESH, NOW

from kindmesh.coordinator.policy_text import from_text, same, to_text, with_rule
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.manifest import DATA_CLASSES
from kindmesh.protocol.policy import Policy, Rule, decide, first_policy, in_zone
from kindmesh.protocol.roles import PURPOSES, Rights, RoleRule

FIRST = first_policy(MESH, NOW)
TEXT = to_text(FIRST)
operations = st.sampled_from(["*", "speech.*", "speech.say", "home.light"])
rules = st.builds(Rule, operations, st.integers(1, 255), st.sampled_from(["allow", "ask", "deny"]))
rights = st.builds(
    Rights,
    st.lists(operations, max_size=3).map(tuple),
    st.integers(0, 255),
    st.lists(st.sampled_from(["*", *DATA_CLASSES]), max_size=3).map(tuple),
    st.lists(st.sampled_from(["*", *PURPOSES]), max_size=3).map(tuple),
)
titles = st.text(st.characters(exclude_categories=("C", "Z")), max_size=20)
roles = st.builds(RoleRule, st.sampled_from("abc"), titles, rights, st.integers(0, 255))


def read(text: str) -> Policy:
    return from_text(text, FIRST, version=2, now_ms=NOW)


@given(st.lists(rules, max_size=4), st.lists(roles, max_size=3, unique_by=lambda role: role.name))
def test_any_policy_comes_back_as_it_was(chosen: list[Rule], known: list[RoleRule]) -> None:
    policy = Policy(MESH, 7, NOW, tuple(chosen), tuple(known))
    found = read(to_text(policy))
    assert same(found, policy)
    assert (found.mesh, found.version, found.issued_ms) == (MESH, 2, NOW)


def test_the_first_policy_reads_like_its_documentation() -> None:
    assert TEXT.startswith(
        'version = 1\n\n[[rule]]\noperation = "*"\neffects = ["read", "notify"]\nanswer = "allow"\n'
    )
    assert '[[role]]\nname = "caregiver"\n' in TEXT


@pytest.mark.parametrize(
    ("old", "new", "line", "field"),
    [
        ('answer = "allow"', 'answer = "perhaps"', 6, "answer"),
        ('operation = "*"', 'operation = "speech"', 4, "operation"),
        ('operation = "*"', "operation = 5", 4, "operation"),
        ('effects = ["read", "notify"]', 'effects = ["shine"]', 5, "effects"),
        ('effects = ["read", "notify"]', "effects = 9", 5, "effects"),
        ('effects = ["read", "notify"]', "effects = []", 5, "effects"),
        ('answer = "allow"', 'answer = "allow"\ncolour = "red"', 7, "colour"),
        ('answer = "allow"\n', "", 3, "answer"),
        ('name = "resident"', 'name = "Resident!"', 18, "name"),
        ('name = "resident"', 'name = "owner"', 1, "name"),
        ('data = ["*"]', 'data = ["gossip"]', 13, "data"),
        ('purposes = ["household"]', 'purposes = ["fun"]', 41, "purposes"),
        ('operations = ["alerts.*"]', 'operations = ["alerts"]', 47, "operations"),
        ("version = 1", "version = 1\nspeed = 3", 2, "speed"),
        ("[[rule]]", "[rule]", 3, "rule"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(old: str, new: str, line: int, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(TEXT.replace(old, new, 1))
    assert (caught.value.field, bool(caught.value.hint)) == (field, True), caught.value
    if line > 1:
        assert caught.value.message.startswith(f"line {line}: "), caught.value


@pytest.mark.parametrize(
    "text", ["x", "[[rule", "version = ", "a = 1\na = 2", "\0", "x = '" + "y" * 300_000 + "'"]
)
def test_what_is_not_toml_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        read(text)


@given(st.text(max_size=60))
def test_any_text_is_a_policy_or_invalid_input(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        assert read(text).version == 2


def test_one_rule_more_takes_the_place_of_what_it_contradicts() -> None:
    policy = Policy(MESH, 1, NOW, (Rule("*", 9, "allow"), Rule("notes.append", 6, "deny")))
    found = with_rule(policy, Rule("notes.append", 4, "allow"), version=2, now_ms=NOW + 1)
    assert found.rules == (
        Rule("*", 9, "allow"),
        Rule("notes.append", 2, "deny"),
        Rule("notes.append", 4, "allow"),
    )
    assert decide(found, "notes.append", 4) == "allow"
    assert (found.version, found.issued_ms) == (2, NOW + 1)
    again = with_rule(found, Rule("notes.append", 6, "ask"), version=3, now_ms=NOW + 2)
    assert again.rules == (Rule("*", 9, "allow"), Rule("notes.append", 6, "ask"))


def test_the_time_zone_of_quiet_hours_comes_back_and_one_that_is_none_is_named_with_its_line() -> None:
    policy = in_zone(FIRST, "Europe/Berlin")
    assert read(to_text(policy)).guards.zone == "Europe/Berlin"
    assert "[clock]" not in to_text(FIRST)
    with pytest.raises(InvalidInput, match=r"line \d+: zone cannot be: there is no time zone") as wrong:
        read(f'{TEXT}\n[clock]\nzone = "Europe/Berln"\n')
    assert "Europe/Berlin" in wrong.value.hint
    for value in ("5", '"../etc/passwd"'):
        with pytest.raises(InvalidInput) as wrong:
            read(f"{TEXT}\n[clock]\nzone = {value}\n")
        assert wrong.value.field == "zone"
