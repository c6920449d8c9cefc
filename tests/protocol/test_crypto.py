"""The primitives against published vectors, and what they refuse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindmesh.protocol.crypto import (
    CurveKey,
    SigningKey,
    argon2id,
    constant_time_equal,
    hkdf_sha256,
    keyed_mac,
    seal,
    sha256,
    unseal,
    verify,
    x25519,
)
from kindmesh.protocol.errors import BadSeal, Malformed

KEY = SigningKey(b"k" * 32)


def test_ed25519_agrees_with_rfc_8032() -> None:
    key = SigningKey(bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"))
    assert key.public.hex() == "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"
    signature = key.sign(b"\xaf\x82")
    assert signature.hex() == (
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
    )
    assert verify(key.public, signature, b"\xaf\x82")
    assert key.seed.hex().startswith("c5aa8df4")


def test_x25519_agrees_with_rfc_7748() -> None:
    secret = bytes.fromhex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4")
    point = bytes.fromhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")
    expected = "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"
    assert x25519(secret, point).hex() == expected


def test_hkdf_agrees_with_rfc_5869() -> None:
    salt, info = bytes(range(13)), bytes(range(0xF0, 0xFA))
    assert hkdf_sha256(b"\x0b" * 22, salt, info, 42).hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )
    assert hkdf_sha256(b"\x0b" * 22, b"", b"", 42).hex() == (
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    )
    for length in (0, 255 * 32 + 1):
        with pytest.raises(ValueError, match="length"):
            hkdf_sha256(b"key", b"", b"", length)


def test_two_sides_agree_on_a_secret() -> None:
    one, two = CurveKey(b"1" * 32), CurveKey(b"2" * 32)
    assert x25519(one.secret, two.public) == x25519(two.secret, one.public)


PRIME = 2**255 - 19
ORDER_EIGHT = (
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)
LOW_ORDER = [
    (number + multiple).to_bytes(32, "little")
    for number in (0, 1, PRIME - 1, *ORDER_EIGHT)
    for multiple in (0, PRIME)
    if number + multiple < 2**255
]


@pytest.mark.parametrize("point", [*LOW_ORDER, b"", b"x" * 31, b"x" * 33], ids=bytes.hex)
def test_a_weak_or_misshapen_curve_key_is_malformed(point: bytes) -> None:
    with pytest.raises(Malformed):
        x25519(b"s" * 32, point)


@given(st.binary(max_size=64), st.binary(max_size=64), st.binary(max_size=64))
def test_verify_never_raises_and_never_believes_noise(public: bytes, signature: bytes, data: bytes) -> None:
    assert not verify(public, signature, data)
    assert not verify(KEY.public, signature, data)
    assert not verify(public, KEY.sign(data), data)


def test_a_signature_moved_by_the_group_order_is_refused() -> None:
    order = 2**252 + 27742317777372353535851937790883648493
    signature = KEY.sign(b"data")
    moved = signature[:32] + (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")
    assert not verify(KEY.public, moved, b"data")


@pytest.mark.parametrize("public", [b"\0" * 32, b"\x01" + b"\0" * 31, b"\xff" * 32])
def test_a_key_of_small_order_signs_nothing(public: bytes) -> None:
    assert not verify(public, public + b"\0" * 32, b"data")


def test_keys_of_the_wrong_size_are_our_bug() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        SigningKey(b"short")
    with pytest.raises(ValueError, match="32 bytes"):
        CurveKey(b"short")


def test_secrets_do_not_show_in_a_repr() -> None:
    secret = sha256(b"secret")
    for key in (SigningKey(secret), CurveKey(secret)):
        assert secret.hex()[:8] not in repr(key)
        assert key.public.hex()[:8] in repr(key)


SEALED = seal(b"k" * 32, b"n" * 24, b"a letter", b"about")


@given(st.integers(0, len(SEALED) * 8 - 1))
def test_a_flipped_bit_in_sealed_bytes_is_refused(bit: int) -> None:
    changed = bytearray(SEALED)
    changed[bit // 8] ^= 1 << (bit % 8)
    with pytest.raises(BadSeal):
        unseal(b"k" * 32, b"n" * 24, bytes(changed), b"about")


def test_sealed_bytes_open_only_with_all_that_they_were_sealed_with() -> None:
    assert unseal(b"k" * 32, b"n" * 24, SEALED, b"about") == b"a letter"
    for key, nonce, sealed, about in (
        (b"x" * 32, b"n" * 24, SEALED, b"about"),
        (b"k" * 32, b"x" * 24, SEALED, b"about"),
        (b"k" * 32, b"n" * 24, SEALED, b""),
        (b"k" * 32, b"n" * 24, SEALED[:10], b"about"),
        (b"k" * 32, b"n" * 24, b"", b"about"),
        (b"k" * 32, b"n" * 23, SEALED, b"about"),
    ):
        with pytest.raises(BadSeal):
            unseal(key, nonce, sealed, about)


def test_macs_passphrases_and_comparison() -> None:
    assert len(keyed_mac(b"k" * 32, b"data")) == 16
    assert keyed_mac(b"k" * 32, b"data") != keyed_mac(b"j" * 32, b"data")
    derived = argon2id(b"correct horse", b"s" * 16, ops=1, mem_kib=64)
    assert len(derived) == 32
    assert derived != argon2id(b"correct horse", b"s" * 16, ops=2, mem_kib=64)
    assert constant_time_equal(b"ab", b"ab")
    assert not constant_time_equal(b"ab", b"abc")
