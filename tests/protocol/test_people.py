"""What makes somebody a person of the mesh, and what they sign: each for one purpose, checked field by field."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.protocol import samples
from tests.protocol.samples import IDS, MESH, NOW, PERSON_KEY, SIGNING, TERMS, seed, time_id

from kindmesh.protocol.codec import encode
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.errors import (
    BadSignature,
    ClockSkew,
    InvalidInput,
    Malformed,
    SourceMismatch,
    UnsupportedVersion,
    WrongDestination,
)
from kindmesh.protocol.limits import CLOCK_SKEW_MS
from kindmesh.protocol.names import check_name, skeleton
from kindmesh.protocol.people import (
    DELEGATION_MAX_MS,
    INVITATION_MAX_MS,
    check_delegation,
    check_request_time,
    check_terms,
    invitation_from_text,
    invitation_to_text,
    open_acceptance,
    open_delegation,
    open_request,
    open_terms,
    read_acceptance,
    sign_acceptance,
    sign_request,
)
from kindmesh.protocol.roles import EVERYTHING, Rights

INVITE_KEY = SigningKey(seed("invitation"))
TEXT = invitation_to_text(samples.SIGNED_TERMS, seed("invitation"))


def test_terms_are_the_owners_and_say_what_a_person_may_be() -> None:
    assert open_terms(samples.SIGNED_TERMS, SIGNING["owner"].public) == TERMS
    check_terms(TERMS)
    assert TERMS.rights == Rights(("speech.*", "notes.list"), 9)
    with pytest.raises(BadSignature):
        open_terms(samples.SIGNED_TERMS, SIGNING["issuer"].public)


def test_terms_end_when_they_say_and_never_later() -> None:
    assert TERMS.lasts(NOW) == NOW
    assert TERMS.lasts(TERMS.until_ms + 1) == TERMS.until_ms
    assert msgspec.structs.replace(TERMS, until_ms=0).lasts(NOW * 2) == NOW * 2


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "Zoe\u0308"}, "name"),
        ({"name": "An\u202ena"}, "name"),
        ({"operations": ("say",)}, "operations"),
        ({"role": ""}, "role"),
        ({"role": "owner"}, "role"),
        ({"until_ms": NOW}, "days"),
        ({"invite_id": b""}, "invitation"),
        ({"invite_id": b"short"}, "expires"),
        ({"invite_pub": b""}, "expires"),
        ({"invite_expires_ms": NOW}, "expires"),
        ({"invite_expires_ms": NOW + INVITATION_MAX_MS + 1}, "expires"),
    ],
)
def test_terms_that_mean_nothing_are_refused_by_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_terms(msgspec.structs.replace(TERMS, **changes))
    assert caught.value.field == field


def test_terms_without_an_invitation_are_terms_too() -> None:
    check_terms(msgspec.structs.replace(TERMS, invite_id=b"", invite_pub=b"", invite_expires_ms=0))


def test_an_invitation_travels_as_text_whatever_case_and_spaces_do_to_it() -> None:
    found = invitation_from_text(f"  {TEXT[:40].lower()}\n {TEXT[40:]} ")
    assert (found.terms, found.seed) == (samples.SIGNED_TERMS, seed("invitation"))


@pytest.mark.parametrize(
    "text", ["", "KP1:", "KP1:A", TEXT[:-9], TEXT + "AAAA", "KM1:AAAA", "hello", "KP1:€"]
)
def test_a_text_that_is_no_invitation_says_so(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        invitation_from_text(text)
    assert caught.value.hint


def test_an_invitation_of_a_newer_version_is_named() -> None:
    import base64

    newer = msgspec.structs.replace(samples.PERSON_INVITATION, version=2)
    with pytest.raises(UnsupportedVersion):
        invitation_from_text("KP1:" + base64.b32encode(encode(newer)).decode().rstrip("="))


def test_only_the_holder_of_the_text_and_the_new_key_can_accept() -> None:
    assert read_acceptance(samples.ACCEPTED) == samples.ACCEPTANCE
    assert open_acceptance(samples.ACCEPTED, INVITE_KEY.public) == samples.ACCEPTANCE
    stranger = SIGNING["stranger"]
    with pytest.raises(BadSignature):
        open_acceptance(sign_acceptance(samples.ACCEPTANCE, PERSON_KEY, stranger), INVITE_KEY.public)
    with pytest.raises(BadSignature):
        open_acceptance(sign_acceptance(samples.ACCEPTANCE, stranger, INVITE_KEY), INVITE_KEY.public)


def opened(**changes: Any) -> Any:
    wanted = {"mesh": MESH, "method": "submit", "device": IDS["phone"], **changes}
    return open_request(samples.SIGNED_PERSON_REQUEST, PERSON_KEY.public, **wanted)


def test_a_request_is_a_persons_for_one_method_on_one_device() -> None:
    assert opened() == samples.PERSON_REQUEST
    with pytest.raises(WrongDestination):
        opened(mesh=IDS["desk"])
    with pytest.raises(WrongDestination):
        opened(method="cancel")
    with pytest.raises(SourceMismatch):
        opened(device=IDS["desk"])
    with pytest.raises(BadSignature):
        open_request(
            sign_request(samples.PERSON_REQUEST, SIGNING["stranger"]),
            PERSON_KEY.public,
            mesh=MESH,
            method="submit",
            device=IDS["phone"],
        )


@pytest.mark.parametrize("off_ms", [CLOCK_SKEW_MS + 1, -CLOCK_SKEW_MS - 1])
def test_a_request_of_another_time_is_refused(off_ms: int) -> None:
    check_request_time(samples.PERSON_REQUEST, samples.PERSON_REQUEST.asked_ms + CLOCK_SKEW_MS)
    with pytest.raises(ClockSkew):
        check_request_time(samples.PERSON_REQUEST, samples.PERSON_REQUEST.asked_ms + off_ms)


def test_a_delegation_is_signed_narrower_and_ends() -> None:
    assert open_delegation(samples.SIGNED_DELEGATION, PERSON_KEY.public) == samples.DELEGATION
    check_delegation(samples.DELEGATION)
    check_delegation(msgspec.structs.replace(samples.DELEGATION, person=b""))
    with pytest.raises(BadSignature):
        open_delegation(samples.SIGNED_DELEGATION, SIGNING["owner"].public)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"rights": EVERYTHING}, "operations"),
        ({"rights": Rights(("x",))}, "operations"),
        ({"expires_ms": NOW}, "days"),
        ({"expires_ms": NOW + DELEGATION_MAX_MS + 1}, "days"),
        ({"person": b"short"}, "person"),
    ],
)
def test_a_delegation_that_means_nothing_is_refused_by_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_delegation(msgspec.structs.replace(samples.DELEGATION, **changes))
    assert caught.value.field == field


def test_what_is_signed_for_one_purpose_is_nothing_for_another() -> None:
    for signed in (samples.SIGNED_DELEGATION, samples.ACCEPTED.acceptance):
        with pytest.raises((BadSignature, Malformed)):
            open_request(signed, PERSON_KEY.public, mesh=MESH, method="submit", device=IDS["phone"])
    with pytest.raises((BadSignature, Malformed)):
        open_delegation(samples.SIGNED_PERSON_REQUEST, PERSON_KEY.public)
    assert time_id(61) == samples.PERSON_REQUEST.request_id


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Anna", "anna"),
        ("Anna", "\u0391nn\u0430"),
        ("Bob", "B0b"),
        ("Bill", "Bi1l"),
        ("Zo\u00eb", "Zoe"),
        ("Marn", "Mam"),
        ("Anna", "A n-n.a"),
        ("Wim", "VVim"),
        ("Paul", "\uff30\uff41\uff55\uff4c"),
    ],
)
def test_names_that_could_be_taken_for_each_other_have_one_shape(one: str, other: str) -> None:
    assert skeleton(one) == skeleton(other)


@pytest.mark.parametrize(
    ("one", "other"), [("Anna", "Anne"), ("Lucia", "Luda"), ("Tom", "Tim"), ("\u738b", "\u674e")]
)
def test_other_names_have_other_shapes(one: str, other: str) -> None:
    assert skeleton(one) != skeleton(other)


@pytest.mark.parametrize("name", ["", " Anna", "Anna ", "...", "\u200b", "A\u202eb", "x" * 65, "\ud800"])
def test_a_name_can_be_seen(name: str) -> None:
    with pytest.raises(InvalidInput):
        check_name(name)


def test_a_name_is_kept_in_composed_form() -> None:
    assert check_name("Zoe\u0308") == "Zo\u00eb"


def test_an_invitation_does_not_show_its_seed_where_it_is_printed() -> None:
    shown = repr(samples.PERSON_INVITATION)
    assert "PersonInvitation" in shown
    assert samples.PERSON_INVITATION.seed.hex() not in shown
    assert repr(samples.PERSON_INVITATION.seed) not in shown
