"""Roles as data: being narrower is an intersection, and what is missing is named."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocol.samples import MESH, NOW

from kindmesh.protocol.errors import InvalidInput, Malformed
from kindmesh.protocol.manifest import DATA_CLASSES, Effect, Manifest, Operation, check_manifest
from kindmesh.protocol.policy import Policy, Rule, check_policy, first_policy
from kindmesh.protocol.roles import (
    EVERYTHING,
    FIRST_ROLES,
    NOTHING,
    PURPOSES,
    Rights,
    RoleRule,
    allows,
    check_rights,
    check_roles,
    missing,
    narrow,
)

OPERATIONS = ("speech.say", "speech.render", "home.light", "alerts.list", "speech")
patterns = st.lists(
    st.sampled_from(["*", "speech.*", "home.*", "speech.say", "home.light", "alerts.*"]), max_size=4
).map(tuple)
rights = st.builds(
    Rights,
    patterns,
    st.integers(0, 255),
    st.lists(st.sampled_from(["*", *DATA_CLASSES]), max_size=3).map(tuple),
    st.lists(st.sampled_from(["*", *PURPOSES]), max_size=3).map(tuple),
)
wishes = st.tuples(
    st.sampled_from(OPERATIONS),
    st.integers(1, 255),
    st.lists(st.sampled_from(DATA_CLASSES), max_size=2).map(tuple),
    st.sampled_from(PURPOSES),
)
ROLES = {role.name: role for role in FIRST_ROLES}


@given(rights, rights, wishes)
def test_narrowed_rights_allow_exactly_what_both_allow(one: Rights, other: Rights, wish: tuple) -> None:  # type: ignore[type-arg]
    assert allows(narrow(one, other), *wish) == (allows(one, *wish) and allows(other, *wish))


@given(rights, rights, rights)
def test_narrowing_is_commutative_associative_and_idempotent(
    one: Rights, other: Rights, third: Rights
) -> None:
    assert narrow(one, other) == narrow(other, one)
    assert narrow(narrow(one, other), third) == narrow(one, narrow(other, third))
    once = narrow(one, one)
    assert narrow(once, once) == once
    assert narrow(once, EVERYTHING) == once
    assert narrow(once, NOTHING) == NOTHING


@given(rights, wishes)
def test_what_is_missing_is_named(given_rights: Rights, wish: tuple) -> None:  # type: ignore[type-arg]
    found = missing(given_rights, *wish)
    assert (found == ()) == allows(given_rights, *wish)
    assert len(missing(NOTHING, *wish)) >= 3


def test_each_part_is_named_by_its_words() -> None:
    narrow_rights = Rights(("home.*",), int(Effect.READ), ("home",), ("care",))
    assert missing(
        narrow_rights, "speech.say", int(Effect.NOTIFY | Effect.READ), ("audio",), "household"
    ) == (
        "the operation speech.say",
        "the effect notify",
        "data about audio",
        "the purpose household",
    )


def test_sensing_without_a_declared_class_counts_as_other() -> None:
    narrow_rights = Rights(("*",), 255, ("home",), ("*",))
    assert missing(narrow_rights, "cam.look", int(Effect.SENSE), (), "care") == ("data about other",)
    assert not missing(narrow_rights, "cam.look", int(Effect.READ), (), "care")


def test_the_first_roles_are_what_they_say() -> None:
    check_policy(first_policy(MESH, NOW))
    wish = ("speech.say", int(Effect.NOTIFY), ("text",), "household")
    may = {name for name, role in ROLES.items() if allows(role.rights, *wish)}
    assert may == {"owner", "resident", "caregiver", "guest"}
    listening = ("alerts.list", int(Effect.READ), (), "alerts")
    assert allows(ROLES["alerts"].rights, *listening)
    for effect in Effect:
        assert not allows(ROLES["alerts"].rights, "speech.say", int(effect), (), "alerts")
        assert not allows(ROLES["guest"].rights, "lock.open", int(effect), (), "household")
    for role in ("resident", "caregiver", "guest", "alerts"):
        assert not allows(ROLES[role].rights, "shop.buy", int(Effect.SPEND), (), "household")
    assert [name for name, role in ROLES.items() if role.approves] == ["owner", "resident"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"operations": ("speech",)}, "operations"),
        ({"operations": ("speech.say.loud",)}, "operations"),
        ({"data_classes": ("secrets",)}, "data_classes"),
        ({"purposes": ("fun",)}, "purposes"),
    ],
)
def test_rights_that_no_request_could_mean_are_refused_by_field(change: dict, field: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(InvalidInput) as caught:
        check_rights(msgspec.structs.replace(EVERYTHING, **change), "role x")
    assert (caught.value.field, bool(caught.value.hint)) == (field, True)


@pytest.mark.parametrize(
    "roles",
    [
        (RoleRule("Owner", "", EVERYTHING),),
        (RoleRule("", "", EVERYTHING),),
        (FIRST_ROLES[0], FIRST_ROLES[0]),
        tuple(RoleRule(f"r{number}", "", EVERYTHING) for number in range(65)),
    ],
)
def test_roles_have_names_of_their_own(roles: tuple[RoleRule, ...]) -> None:
    with pytest.raises(InvalidInput):
        check_roles(roles)


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ((Rule("say", 1, "allow"),), "operation"),
        ((Rule("speech.say", 0, "allow"),), "effects"),
        ((Rule("speech.say", 1, "allow"),) * 1_001, "rules"),
    ],
)
def test_a_bad_rule_is_named(rules: tuple[Rule, ...], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_policy(Policy(MESH, 1, NOW, rules))
    assert caught.value.field == field


def test_a_policy_knows_its_roles_by_name() -> None:
    policy = first_policy(MESH, NOW)
    assert policy.role("guest") == ROLES["guest"]
    assert policy.role("king") is None


def test_a_class_of_data_that_nobody_knows_is_refused() -> None:
    operation = Operation("speech.say", "Say", (), (), int(Effect.NOTIFY), False, ("gossip",))
    with pytest.raises(Malformed) as caught:
        check_manifest(Manifest("speech", "1", "Speaks", (operation,)))
    assert caught.value.field == "data_classes"
