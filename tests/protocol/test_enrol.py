"""Pairing: the QR's text, the proofs, and everything that must be the same on both sides."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocol import samples
from tests.protocol.samples import (
    CERTIFICATES,
    CURVE,
    ENROL_CHALLENGE,
    ENROL_DONE,
    ENROL_GRANTED,
    ENROL_HELLO,
    ENROL_PROOF,
    INVITATION,
    SIGNED,
    SIGNING,
    TRANSCRIPT,
)
from tests.protocol.strategies import structs

from kindmesh.protocol import enrol
from kindmesh.protocol.certificate import sign_certificate
from kindmesh.protocol.codec import encode
from kindmesh.protocol.enrol import (
    EnrolDone,
    EnrolHello,
    EnrolPending,
    EnrolProof,
    Invitation,
    check_code,
    check_done,
    check_granted,
    check_hello,
    check_pending,
    check_proof,
    decode_message,
    host_mac,
    invitation_from_text,
    invitation_to_text,
    proof_mac,
    transcript,
)
from kindmesh.protocol.errors import (
    CertificateRefused,
    EnrolmentRefused,
    InvalidInput,
    KindmeshError,
    Malformed,
    UnsupportedVersion,
)

TEXT = invitation_to_text(INVITATION)
NONCE = ENROL_PROOF.nonce


def hello(**changes: object) -> EnrolHello:
    return msgspec.structs.replace(ENROL_HELLO, **changes)


def invitation(**changes: object) -> Invitation:
    return msgspec.structs.replace(INVITATION, **changes)


# ------------------------------------------------------------------------------------------------------ invitation


def test_an_invitation_survives_being_typed_and_wrapped() -> None:
    wrapped = "\n ".join(TEXT[start : start + 40] for start in range(0, len(TEXT), 40))
    for typed in (TEXT, TEXT.lower(), f"  {wrapped}\n"):
        assert invitation_from_text(typed) == INVITATION


def test_the_text_suits_the_compact_mode_of_a_qr_code() -> None:
    assert set(TEXT) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:")
    assert len(TEXT) < 300


def test_an_invitation_does_not_show_its_secret() -> None:
    assert INVITATION.secret.hex() not in repr(INVITATION)
    assert str(INVITATION.secret) not in repr(INVITATION)


@pytest.mark.parametrize("typed", ["", "hello", "KM", "KM1", "XX1:ABCD", "KM1 ABCD"])
def test_what_is_no_invitation_is_refused_with_a_hint(typed: str) -> None:
    with pytest.raises(InvalidInput, match="not an invitation") as caught:
        invitation_from_text(typed)
    assert (caught.value.field, caught.value.hint != "") == ("text", True)


@pytest.mark.parametrize(
    "typed", ["KM1:", "KM1:A", "KM1:0000", "KM1:ÄÄÄÄ", TEXT[:-1], TEXT[:50], TEXT + "A" * 3]
)
def test_a_damaged_invitation_is_refused(typed: str) -> None:
    with pytest.raises(InvalidInput, match="damaged or cut off"):
        invitation_from_text(typed)


@pytest.mark.parametrize(
    "changes",
    [{"mesh": b"x" * 19}, {"ed_pub": b""}, {"curve_pub": b"x" * 33}, {"secret": b"x" * 15}, {"hints": ()}],
    ids=str,
)
def test_an_invitation_with_a_part_missing_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match="damaged"):
        invitation_from_text(invitation_to_text(invitation(**changes)))


def test_an_invitation_of_another_version_says_so() -> None:
    for text in (TEXT.replace("KM1:", "KM2:"), "KM12:ABC", invitation_to_text(invitation(version=2))):
        with pytest.raises(UnsupportedVersion):
            invitation_from_text(text)


@given(st.text(max_size=60), structs(Invitation))
def test_any_text_is_an_invitation_or_an_error_of_ours(text: str, other: Invitation) -> None:
    typed = (text, "KM1:" + text, invitation_to_text(msgspec.structs.replace(other, version=1)))
    for attempt in typed:
        try:
            found = invitation_from_text(attempt)
        except (InvalidInput, UnsupportedVersion):
            continue
        assert invitation_from_text(invitation_to_text(found)) == found


# ---------------------------------------------------------------------------------------------------------- proofs


def test_a_proof_made_with_the_secret_and_the_key_is_accepted() -> None:
    check_hello(ENROL_HELLO, CURVE["phone"].public)
    assert check_proof(INVITATION, ENROL_HELLO, ENROL_CHALLENGE, ENROL_PROOF) == TRANSCRIPT
    check_pending(INVITATION, TRANSCRIPT, EnrolPending(host_mac(INVITATION, TRANSCRIPT)))
    check_done(ENROL_HELLO, TRANSCRIPT, ENROL_DONE)


@pytest.mark.parametrize("field", EnrolHello.__struct_fields__)
def test_each_field_of_the_hello_is_in_the_transcript(field: str) -> None:
    value = getattr(ENROL_HELLO, field)
    other: object = (
        value[::-1] if isinstance(value, bytes) else f"{value}x" if isinstance(value, str) else None
    )
    if other is None:
        other = value * 2
    assert transcript(INVITATION, hello(**{field: other}), ENROL_CHALLENGE, NONCE) != TRANSCRIPT


@pytest.mark.parametrize("field", ["version", "mesh", "ed_pub", "curve_pub", "expires_s", "role"])
def test_each_field_of_the_invitation_is_in_the_transcript(field: str) -> None:
    value = getattr(INVITATION, field)
    other = value + 1 if isinstance(value, int) else value[::-1]
    assert transcript(invitation(**{field: other}), ENROL_HELLO, ENROL_CHALLENGE, NONCE) != TRANSCRIPT


def test_the_transcript_needs_neither_the_secret_nor_the_address_that_was_used() -> None:
    seen = invitation(secret=b"x" * 16, hints=("[2001:db8::7]:7420", "192.0.2.9:1"))
    assert transcript(seen, ENROL_HELLO, ENROL_CHALLENGE, NONCE) == TRANSCRIPT
    other = msgspec.structs.replace(ENROL_CHALLENGE, nonce=b"n" * 32)
    assert transcript(INVITATION, ENROL_HELLO, other, NONCE) != TRANSCRIPT
    assert transcript(INVITATION, ENROL_HELLO, ENROL_CHALLENGE, b"n" * 32) != TRANSCRIPT


def test_the_code_has_four_digits_and_depends_on_the_transcript() -> None:
    codes = {check_code(bytes([number]) * 32) for number in range(100)}
    assert all(len(code) == 4 and code.isdecimal() for code in codes)
    assert len(codes) > 95


def test_a_nonce_other_than_the_one_that_was_committed_to_is_refused() -> None:
    """Whoever has seen the other nonce could otherwise look for one of its own that gives a wanted code."""
    agreed = transcript(INVITATION, ENROL_HELLO, ENROL_CHALLENGE, b"n" * 32)
    late = EnrolProof(
        proof_mac(INVITATION, agreed), SIGNING["phone"].sign(enrol.DEVICE_DOMAIN + agreed), b"n" * 32
    )
    with pytest.raises(EnrolmentRefused, match="changed its nonce"):
        check_proof(INVITATION, ENROL_HELLO, ENROL_CHALLENGE, late)


def test_a_door_that_does_not_know_the_secret_is_refused() -> None:
    for mac in (
        bytes(32),
        proof_mac(INVITATION, TRANSCRIPT),
        host_mac(invitation(secret=b"x" * 16), TRANSCRIPT),
    ):
        with pytest.raises(EnrolmentRefused, match="did not make this invitation"):
            check_pending(INVITATION, TRANSCRIPT, EnrolPending(mac))


@given(st.sampled_from(["mac", "signature"]), st.integers(0, 511))
def test_a_flipped_bit_in_a_proof_is_refused(field: str, bit: int) -> None:
    changed = bytearray(getattr(ENROL_PROOF, field))
    changed[bit // 8 % len(changed)] ^= 1 << (bit % 8)
    with pytest.raises(EnrolmentRefused):
        check_proof(
            INVITATION,
            ENROL_HELLO,
            ENROL_CHALLENGE,
            msgspec.structs.replace(ENROL_PROOF, **{field: bytes(changed)}),
        )


def test_a_device_that_did_not_read_the_qr_is_refused() -> None:
    guess = invitation(secret=b"x" * 16)
    proof = EnrolProof(proof_mac(guess, TRANSCRIPT), ENROL_PROOF.signature, NONCE)
    with pytest.raises(EnrolmentRefused, match="did not read"):
        check_proof(INVITATION, ENROL_HELLO, ENROL_CHALLENGE, proof)


def test_a_device_that_shows_anothers_key_is_refused() -> None:
    for signed in (b"", enrol.DONE_DOMAIN):
        signature = SIGNING["phone" if signed else "stranger"].sign(
            (signed or enrol.DEVICE_DOMAIN) + TRANSCRIPT
        )
        with pytest.raises(EnrolmentRefused, match="does not hold the key"):
            check_proof(
                INVITATION, ENROL_HELLO, ENROL_CHALLENGE, EnrolProof(ENROL_PROOF.mac, signature, NONCE)
            )
    with pytest.raises(EnrolmentRefused, match="confirmation"):
        check_done(ENROL_HELLO, TRANSCRIPT, EnrolDone(ENROL_PROOF.signature))


def test_a_device_that_asks_for_a_greater_role_is_refused() -> None:
    greedy = hello(role="coordinator")
    agreed = transcript(INVITATION, greedy, ENROL_CHALLENGE, NONCE)
    proof = EnrolProof(
        proof_mac(INVITATION, agreed), SIGNING["phone"].sign(enrol.DEVICE_DOMAIN + agreed), NONCE
    )
    with pytest.raises(EnrolmentRefused, match="another role"):
        check_proof(INVITATION, greedy, ENROL_CHALLENGE, proof)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"version": 2}, UnsupportedVersion),
        ({"curve_pub": CURVE["stranger"].public}, EnrolmentRefused),
        ({"ed_pub": b"short"}, EnrolmentRefused),
        ({"name": ""}, EnrolmentRefused),
        ({"name": "  "}, EnrolmentRefused),
        ({"name": "x" * 65}, EnrolmentRefused),
        ({"name": "phone\x1b[2J"}, EnrolmentRefused),
        ({"name": "enohp\u202e"}, EnrolmentRefused),
        ({"offers": (enrol.OfferSummary("speech", "Speaks\nand more", 1),)}, EnrolmentRefused),
        ({"offers": (enrol.OfferSummary("spe\x00ech", "Speaks", 1),)}, EnrolmentRefused),
        (
            {"offers": (enrol.OfferSummary("a", "A", 9, (enrol.OfferedOperation("a.\u202e", 1),)),)},
            EnrolmentRefused,
        ),
        (
            {"offers": (enrol.OfferSummary("a", "A", 1, (enrol.OfferedOperation("a.b", 32),)),)},
            EnrolmentRefused,
        ),
    ],
    ids=str,
)
def test_a_hello_that_cannot_be_shown_or_contradicts_its_connection_is_refused(
    changes: dict[str, object], error: type[KindmeshError]
) -> None:
    with pytest.raises(error):
        check_hello(hello(**changes), CURVE["phone"].public)


# --------------------------------------------------------------------------------------------------------- papers


def granted(**changes: object) -> enrol.EnrolGranted:
    return msgspec.structs.replace(ENROL_GRANTED, **changes)


def test_the_papers_of_this_device_and_mesh_are_accepted() -> None:
    check_granted(ENROL_GRANTED, INVITATION, ENROL_HELLO)


def test_papers_of_somebody_else_are_refused() -> None:
    with pytest.raises(EnrolmentRefused, match="another device"):
        check_granted(granted(certificate=SIGNED["desk"]), INVITATION, ENROL_HELLO)
    swapped = msgspec.structs.replace(CERTIFICATES["phone"], curve_pub=CURVE["stranger"].public)
    with pytest.raises(EnrolmentRefused, match="another device"):
        check_granted(
            granted(certificate=sign_certificate(swapped, SIGNING["issuer"])), INVITATION, ENROL_HELLO
        )
    with pytest.raises(EnrolmentRefused, match="not the one"):
        check_granted(granted(coordinator=SIGNED["phone"]), INVITATION, ENROL_HELLO)
    with pytest.raises(CertificateRefused):
        check_granted(ENROL_GRANTED, invitation(mesh=samples.IDS["stranger"]), ENROL_HELLO)
    own = sign_certificate(CERTIFICATES["phone"], SIGNING["stranger"])
    with pytest.raises(CertificateRefused):
        check_granted(granted(certificate=own), INVITATION, ENROL_HELLO)


# -------------------------------------------------------------------------------------------------------- messages


@pytest.mark.parametrize("message", samples.ENROL_MESSAGES, ids=lambda message: type(message).__name__)
def test_messages_are_told_apart_by_their_tag(message: msgspec.Struct) -> None:
    assert decode_message(encode(message)) == message


@pytest.mark.parametrize(
    "digits", ["", "c0", "90", "91a56f74686572", "91a568656c6c6f", "9101", "80", "93a570726f6f66c400c400"]
)
def test_anything_else_is_malformed(digits: str) -> None:
    with pytest.raises(Malformed):
        decode_message(bytes.fromhex(digits))


@given(st.binary(max_size=100))
def test_noise_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode_message(data)
