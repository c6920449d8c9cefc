"""Signed messages: what is accepted, and that nothing else is."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocol import samples
from tests.protocol.samples import IDS, NOW, SIGNING

from kindmesh.protocol.codec import encode
from kindmesh.protocol.crypto import sha256
from kindmesh.protocol.envelope import (
    ENVELOPE_DOMAIN,
    Envelope,
    check_age,
    envelope_hash,
    make_envelope,
    open_envelope,
    peek_header,
)
from kindmesh.protocol.errors import (
    BadSignature,
    ClockSkew,
    Expired,
    KindmeshError,
    Malformed,
    Revoked,
    UnknownMember,
    UnsupportedVersion,
    WrongDestination,
)
from kindmesh.protocol.limits import BODY_MAX, CLOCK_SKEW_MS, HEADER_MAX, TTL_DEFAULT_MS, TTL_MAX_MS
from kindmesh.protocol.messages import MessageType

MEMBERS = samples.membership()


def keys(src: bytes) -> bytes:
    """As a device looks an author up."""
    return MEMBERS.get(src).ed_pub


def opened(frames: list[bytes], now_ms: int = NOW, dst: bytes = IDS["phone"]) -> Envelope:
    return open_envelope(frames, dst=dst, now_ms=now_ms, public_key=keys)


JOB = samples.FRAMES[MessageType.JOB]


def changed_header(**changes: object) -> list[bytes]:
    """A message whose header says something else, properly signed by its author."""
    header = encode(msgspec.structs.replace(peek_header(JOB), **changes))
    return [header, SIGNING["desk"].sign(ENVELOPE_DOMAIN + header), JOB[2]]


@pytest.mark.parametrize("type_", list(MessageType))
def test_every_message_opens_at_its_destination(type_: MessageType) -> None:
    author, body = samples.MESSAGES[type_]
    frames = samples.FRAMES[type_]
    envelope = opened(frames, dst=IDS["phone" if author == "desk" else "desk"])
    assert envelope.header.src == IDS[author]
    assert envelope.header.type == type_
    assert envelope.body == encode(body)
    assert envelope.hash == envelope_hash(frames) == sha256(frames[0] + frames[1])


@given(st.integers(0, 2), st.data())
def test_a_flipped_bit_anywhere_is_refused(frame: int, choose: st.DataObject) -> None:
    changed = [bytearray(part) for part in JOB]
    bit = choose.draw(st.integers(0, len(changed[frame]) * 8 - 1))
    changed[frame][bit // 8] ^= 1 << (bit % 8)
    with pytest.raises(KindmeshError):
        opened([bytes(part) for part in changed])


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_noise_is_refused_and_never_crashes(frames: list[bytes]) -> None:
    with pytest.raises(KindmeshError):
        opened(frames)


@given(st.binary(max_size=200), st.integers(0, 2))
def test_a_frame_replaced_by_noise_is_refused(noise: bytes, frame: int) -> None:
    frames = list(JOB)
    frames[frame] = noise
    with pytest.raises(KindmeshError):
        opened(frames)


def test_a_signature_belongs_to_one_message() -> None:
    other = samples.FRAMES[MessageType.JOB_CANCEL]
    with pytest.raises(BadSignature):
        opened([JOB[0], other[1], JOB[2]])
    with pytest.raises(BadSignature, match="body"):
        opened([JOB[0], JOB[1], other[2]])


def test_a_device_that_lies_about_its_source_is_refused() -> None:
    with pytest.raises(BadSignature):
        opened(changed_header(src=IDS["phone"]))


def test_a_source_that_is_no_member_or_was_removed_is_refused_by_name() -> None:
    with pytest.raises(Revoked):
        opened(changed_header(src=IDS["stranger"]))
    with pytest.raises(UnknownMember):
        opened(changed_header(src=IDS["owner"]))


def test_a_message_for_another_device_is_refused() -> None:
    with pytest.raises(WrongDestination):
        opened(JOB, dst=IDS["desk"])


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_a_message_has_three_frames(count: int) -> None:
    with pytest.raises(Malformed, match="3 frames"):
        opened([*JOB, b"more"][:count])


def test_a_version_that_is_not_spoken_is_named() -> None:
    with pytest.raises(UnsupportedVersion, match="version 2"):
        opened(changed_header(version=2))


@pytest.mark.parametrize(
    "changes",
    [
        {"message_id": b"x" * 15},
        {"src": b""},
        {"dst": b"x" * 21},
        {"tag": b"x" * 9},
        {"in_reply_to": b"x"},
        {"trace": b"x" * 15},
        {"body_hash": b"x" * 31},
        {"boot": -1},
        {"sequence": 2**53 + 1},
        {"sequence": 2**64 - 1},
        {"issued_ms": -1},
        {"ttl_ms": TTL_MAX_MS + 1},
        {"type": -1},
    ],
    ids=str,
)
def test_a_signed_header_with_a_field_out_of_bounds_is_malformed(changes: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        opened(changed_header(**changes))


def test_too_large_a_header_or_body_is_refused_before_any_signature_is_checked() -> None:
    def never(_: bytes) -> bytes:
        raise AssertionError

    refused: list[tuple[list[bytes], Callable[[bytes], bytes]]] = [
        ([JOB[0] + b"\0" * HEADER_MAX, JOB[1], JOB[2]], never),
        ([JOB[0], JOB[1], b"\0" * (BODY_MAX + 1)], never),
    ]
    for frames, look_up in refused:
        with pytest.raises(Malformed, match="at most"):
            open_envelope(frames, dst=IDS["phone"], now_ms=NOW, public_key=look_up)


def test_the_largest_body_is_accepted() -> None:
    frames = make_envelope(
        SIGNING["desk"],
        type_=30,
        message_id=samples.time_id(1),
        src=IDS["desk"],
        dst=IDS["phone"],
        boot=0,
        tag=b"boot-tag",
        sequence=0,
        issued_ms=NOW,
        body=b"\0" * BODY_MAX,
    )
    assert len(opened(frames).body) == BODY_MAX


def test_a_message_lives_from_the_skew_before_it_was_made_to_the_skew_after_its_time() -> None:
    first, last = NOW - CLOCK_SKEW_MS, NOW + TTL_DEFAULT_MS + CLOCK_SKEW_MS
    for now_ms in (first, NOW, last):
        assert opened(JOB, now_ms).header.issued_ms == NOW
        check_age(peek_header(JOB), now_ms)
    with pytest.raises(ClockSkew, match="120 s ahead"):
        opened(JOB, first - 1)
    with pytest.raises(Expired, match="120 s past"):
        opened(JOB, last + 1)
