"""Who acts, as one text made of ids: whose a job is, and what a person is shown."""

from __future__ import annotations

import pytest
from tests.protocol.samples import IDS

from kindmesh.protocol.errors import InvalidInput, Malformed
from kindmesh.protocol.ids import format_id
from kindmesh.protocol.principal import (
    OWNER,
    Principal,
    belongs_to,
    describe_principal,
    device_principal,
    parse_acting,
    person_principal,
    principal_document,
    principal_from_text,
    principal_text,
)

PHONE = device_principal(IDS["phone"], "phone")
ANNA = person_principal(IDS["stranger"], "Anna", IDS["phone"])
GOAL = Principal("goal", "water", "Anna", acting_for=ANNA.id)
LIMB = Principal("limb", "med", acting_for="owner")


@pytest.mark.parametrize("principal", [OWNER, PHONE, ANNA, GOAL, LIMB])
def test_a_text_says_who_it_is_without_names(principal: Principal) -> None:
    text = principal_text(principal)
    assert "Anna" not in text
    found = principal_from_text(text)
    assert (found.kind, found.id, found.acting_for) == (principal.kind, principal.id, principal.acting_for)
    assert principal_document(found)["kind"] == principal.kind


@pytest.mark.parametrize("text", ["", "Owner", "somebody x", "own er"])
def test_what_names_nobody_is_not_the_owner(text: str) -> None:
    with pytest.raises(Malformed):
        principal_from_text(text)


def test_a_job_is_its_askers_and_whom_it_was_done_for() -> None:
    assert belongs_to(OWNER, principal_text(ANNA))
    assert belongs_to(ANNA, principal_text(ANNA))
    assert belongs_to(ANNA, principal_text(GOAL))
    assert not belongs_to(ANNA, principal_text(LIMB))
    assert not belongs_to(ANNA, principal_text(PHONE))
    assert not belongs_to(PHONE, principal_text(ANNA))
    assert not belongs_to(GOAL, principal_text(ANNA))


def test_who_is_behind_it() -> None:
    assert [principal.person for principal in (OWNER, PHONE, ANNA, GOAL, LIMB)] == [
        "owner",
        "",
        format_id(IDS["stranger"]),
        format_id(IDS["stranger"]),
        "owner",
    ]


def test_a_description_is_one_line_whatever_the_names_are() -> None:
    evil = "x\nasked by owner\u202e"
    for principal in (
        Principal("owner", name=evil),
        Principal("person", evil, evil),
        Principal("device", evil),
        Principal("goal", evil, evil, evil),
        Principal("limb", evil, acting_for=evil),
    ):
        assert describe_principal(principal).isprintable()
    assert describe_principal(OWNER) == "owner"
    assert describe_principal(Principal("owner")) == "owner"
    assert "acting for Anna" in describe_principal(GOAL)


def test_what_acts_is_named_by_kind_and_word() -> None:
    assert parse_acting("goal:water-the-plants") == ("goal", "water-the-plants")
    assert parse_acting("home:next:door") == ("home", "next:door")


@pytest.mark.parametrize(
    "text", ["", "goal", "goal:", "person:anna", "goal:a b", "limb:" + "x" * 65, "goal:\n"]
)
def test_another_text_names_nothing_that_acts(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_acting(text)
