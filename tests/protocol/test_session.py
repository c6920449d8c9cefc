"""Session keys: both sides get the same, nobody else does, and each frame counts once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocol import samples

from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.crypto import CurveKey
from kindmesh.protocol.errors import BadSignature, KindmeshError, Malformed, Replayed
from kindmesh.protocol.limits import BODY_MAX, REPLAY_WINDOW_BITS
from kindmesh.protocol.messages import SESSION_BODIES, SessionBody, SessionType
from kindmesh.protocol.session import derive_session, is_session_frame


@pytest.mark.parametrize("type_", list(SessionType))
def test_both_directions_carry_every_type(type_: SessionType) -> None:
    dialler, listener = samples.session_pair()
    payload = samples.SESSION_MESSAGES[type_]
    body = encode(SessionBody(type_, 7, encode(payload)))
    for sender, receiver in ((dialler, listener), (listener, dialler)):
        again = decode(SessionBody, receiver.open(sender.seal(body)))
        assert (again.type, again.ref) == (type_, 7)
        assert decode(SESSION_BODIES[type_], again.payload) == payload


@given(st.integers(0, 2), st.data())
def test_a_flipped_bit_anywhere_is_refused_and_does_not_use_the_frame_up(
    frame: int, choose: st.DataObject
) -> None:
    sender, receiver = samples.session_pair()
    frames = sender.seal(b"a body")
    changed = [bytearray(part) for part in frames]
    bit = choose.draw(st.integers(0, len(changed[frame]) * 8 - 1))
    changed[frame][bit // 8] ^= 1 << (bit % 8)
    with pytest.raises((Malformed, BadSignature)):
        receiver.open([bytes(part) for part in changed])
    assert receiver.open(frames) == b"a body"


@given(st.lists(st.binary(max_size=40), max_size=4))
def test_noise_is_refused(frames: list[bytes]) -> None:
    _, receiver = samples.session_pair()
    with pytest.raises(KindmeshError):
        receiver.open(frames)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60))
def test_each_frame_counts_once_in_any_order(order: list[int]) -> None:
    sender, receiver = samples.session_pair()
    sent = [sender.seal(bytes([number])) for number in range(31)]
    seen: set[int] = set()
    for number in order:
        if number in seen:
            with pytest.raises(Replayed):
                receiver.open(sent[number])
        else:
            assert receiver.open(sent[number]) == bytes([number])
        seen.add(number)


def test_a_frame_held_back_for_longer_than_the_window_is_refused() -> None:
    sender, receiver = samples.session_pair()
    late = sender.seal(b"late")
    for _ in range(REPLAY_WINDOW_BITS):
        receiver.open(sender.seal(b""))
    with pytest.raises(Replayed):
        receiver.open(late)


def test_a_frame_reflected_to_its_sender_is_refused() -> None:
    dialler, listener = samples.session_pair()
    frames = dialler.seal(b"to the listener")
    with pytest.raises(BadSignature):
        dialler.open(frames)
    assert listener.open(frames) == b"to the listener"


def test_other_handshakes_and_other_secrets_make_other_keys() -> None:
    dialler, listener = samples.session_pair()
    hashes = {"hello_hash": b"h" * 32, "welcome_hash": b"w" * 32}
    public = CurveKey(samples.seed("desk-ephemeral")).public
    other_hello = derive_session(
        secret=samples.seed("phone-ephemeral"), peer_public=public, dialler=True, **hashes
    )
    eavesdropper = derive_session(secret=samples.seed("stranger"), peer_public=public, dialler=True, **hashes)
    for sender in (other_hello, eavesdropper):
        assert sender.session_id != dialler.session_id
        with pytest.raises(BadSignature):
            listener.open(sender.seal(b""))


def test_a_weak_ephemeral_key_is_refused() -> None:
    with pytest.raises(Malformed, match="weak"):
        derive_session(
            secret=b"s" * 32, peer_public=b"\0" * 32, hello_hash=b"", welcome_hash=b"", dialler=False
        )


def test_too_large_a_body_is_refused() -> None:
    sender, receiver = samples.session_pair()
    assert len(receiver.open(sender.seal(b"\0" * BODY_MAX))) == BODY_MAX
    with pytest.raises(Malformed):
        receiver.open(sender.seal(b"\0" * (BODY_MAX + 1)))


def test_a_session_frame_is_never_taken_for_a_message_nor_the_other_way_round() -> None:
    sender, _ = samples.session_pair()
    assert is_session_frame(sender.seal(b"")[0])
    for frames in samples.FRAMES.values():
        assert not is_session_frame(frames[0])
    assert not is_session_frame(b"")
    assert not is_session_frame(b"T" + b"\0" * 16)
