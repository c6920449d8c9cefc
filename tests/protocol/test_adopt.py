"""Labels of devices without a screen: their text, and what proves that somebody read it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocol.samples import (
    ADOPT_HELLO,
    ADOPT_MESSAGES,
    ADOPT_OFFER,
    ADOPT_TRANSCRIPT,
    CURVE,
    INVITATION,
    LABEL,
)

from kindmesh.protocol.adopt import (
    adopt_accepted,
    adopt_offer,
    check_accepted_by,
    check_adopt_hello,
    check_offer,
    decode_adoption,
    label_from_text,
    label_to_text,
)
from kindmesh.protocol.codec import encode
from kindmesh.protocol.errors import EnrolmentRefused, InvalidInput, Malformed, UnsupportedVersion

TEXT = label_to_text(LABEL)
HOST = CURVE["desk"].public


def test_a_label_survives_being_copied_and_hides_its_secret() -> None:
    for text in (TEXT, TEXT.lower(), f" {TEXT[:30]}\n{TEXT[30:]} "):
        assert label_from_text(text) == LABEL
    assert LABEL.secret.hex() not in repr(LABEL)
    assert str(LABEL.secret) not in repr(LABEL)


@pytest.mark.parametrize("text", ["", "KM1:ABC", "KL", "hello"])
def test_what_is_no_label_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="not a device's label"):
        label_from_text(text)


@pytest.mark.parametrize("text", ["KL1:", "KL1:0000", TEXT[:-3], TEXT + "AAA"])
def test_a_damaged_label_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="damaged or cut off"):
        label_from_text(text)


@pytest.mark.parametrize("name", ["", "  ", "hall\x1b[2J", "\u202ellah"])
def test_a_label_whose_name_cannot_be_shown_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be shown"):
        label_from_text(label_to_text(msgspec.structs.replace(LABEL, name=name)))


def test_a_label_of_another_version_says_so() -> None:
    for text in (TEXT.replace("KL1", "KL2"), label_to_text(msgspec.structs.replace(LABEL, version=2))):
        with pytest.raises(UnsupportedVersion):
            label_from_text(text)
    with pytest.raises(UnsupportedVersion):
        check_adopt_hello(msgspec.structs.replace(ADOPT_HELLO, version=2))
    check_adopt_hello(ADOPT_HELLO)


def test_both_sides_prove_the_labels_secret() -> None:
    check_offer(LABEL, ADOPT_TRANSCRIPT, HOST, ADOPT_HELLO, ADOPT_OFFER)
    accepted = adopt_accepted(LABEL, ADOPT_TRANSCRIPT, INVITATION)
    check_accepted_by(LABEL, ADOPT_TRANSCRIPT, INVITATION, accepted)
    other = msgspec.structs.replace(LABEL, secret=b"x" * 16)
    forged = adopt_offer(other, ADOPT_TRANSCRIPT, INVITATION)
    with pytest.raises(EnrolmentRefused, match="did not read its label"):
        check_offer(LABEL, ADOPT_TRANSCRIPT, HOST, ADOPT_HELLO, forged)
    wrong = adopt_accepted(other, ADOPT_TRANSCRIPT, INVITATION)
    reflected = msgspec.structs.replace(accepted, mac=ADOPT_OFFER.mac)
    for answer in (wrong, reflected):
        with pytest.raises(EnrolmentRefused, match="does not know the secret"):
            check_accepted_by(LABEL, ADOPT_TRANSCRIPT, INVITATION, answer)


def test_an_invitation_elsewhere_is_refused_even_with_the_secret() -> None:
    for field in ("mesh", "ed_pub", "curve_pub"):
        elsewhere = msgspec.structs.replace(INVITATION, **{field: getattr(INVITATION, field)[::-1]})
        offer = adopt_offer(LABEL, ADOPT_TRANSCRIPT, elsewhere)
        with pytest.raises(EnrolmentRefused, match="somebody else's door"):
            check_offer(LABEL, ADOPT_TRANSCRIPT, HOST, ADOPT_HELLO, offer)


@pytest.mark.parametrize("message", ADOPT_MESSAGES, ids=lambda message: type(message).__name__)
def test_messages_are_told_apart_by_their_tag(message: msgspec.Struct) -> None:
    assert decode_adoption(encode(message)) == message


@given(st.binary(max_size=100))
def test_noise_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode_adoption(data)
