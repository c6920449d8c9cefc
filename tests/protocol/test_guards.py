"""The bounds of a policy: what words settle, quiet hours over midnight, and what could not mean anything."""

from __future__ import annotations

import msgspec
import pytest

from kindmesh.protocol.codec import decode, encode_value
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.guards import FIRST_GUARDS, Guards, Quiet, Rate, check_guards, settled_by_words
from kindmesh.protocol.policy import Policy, check_policy, first_policy, in_zone

MESH = bytes(20)


def test_a_household_starts_with_words_being_enough_for_its_home_and_doors_while_somebody_is_there() -> None:
    guards = first_policy(MESH, 1).guards
    assert guards == FIRST_GUARDS
    assert settled_by_words(guards, "home.control", present=False)
    assert settled_by_words(guards, "home.access", present=True)
    assert not settled_by_words(guards, "home.access", present=False)
    assert not settled_by_words(guards, "mail.send", present=True)


def test_a_policy_says_where_its_hours_are_meant() -> None:
    policy = in_zone(first_policy(MESH, 1), "America/Argentina/Buenos_Aires")
    check_policy(policy)
    assert policy.guards == msgspec.structs.replace(FIRST_GUARDS, zone="America/Argentina/Buenos_Aires")
    assert in_zone(policy, "").guards == FIRST_GUARDS
    assert decode(Guards, encode_value([[], [], [], [], 0.0, 0.0, []])).zone == ""
    for wrong in ("../etc/localtime", "/etc/x", "Europe/../x", "a b", "1"):
        with pytest.raises(InvalidInput, match="no time zone") as refused:
            check_guards(Guards(zone=wrong))
        assert refused.value.field == "zone"


def test_a_policy_of_before_has_no_guards() -> None:
    assert Policy(MESH, 1, 0, ()).guards == Guards()


@pytest.mark.parametrize(
    ("minute", "covered"), [(1_320, True), (0, True), (419, True), (420, False), (720, False)]
)
def test_quiet_hours_go_over_midnight(minute: int, covered: bool) -> None:
    assert Quiet(1_320, 420, 8).covers(minute) is covered


def test_quiet_hours_of_one_day_end_on_it() -> None:
    assert [Quiet(60, 120, 8).covers(minute) for minute in (59, 60, 119, 120)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("guards", "field"),
    [
        (Guards(words=("Home",)), "words"),
        (Guards(present=("home",)), "present"),
        (Guards(quiet=(Quiet(1, 2, 8, "x y"),)), "quiet"),
        (Guards(rates=(Rate("?", 1, 1),)), "rate"),
        (Guards(quiet=(Quiet(1, 1, 8),)), "quiet"),
        (Guards(quiet=(Quiet(1, 2, 0),)), "quiet"),
    ],
)
def test_bounds_that_could_not_mean_anything_are_refused(guards: Guards, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_guards(guards)
    assert refused.value.field == field
    with pytest.raises(InvalidInput):
        check_policy(Policy(MESH, 1, 0, (), (), guards))


def test_bounds_that_mean_something_are_taken() -> None:
    check_guards(
        Guards(("*",), ("home.*",), (Quiet(0, 1, 8, "speech.*"),), (Rate("mail.send", 3, 1_000),), 1.0, 2.0)
    )
