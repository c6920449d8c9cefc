"""Bytes with a signature over exactly those bytes, domain separated.

`Signed` is how certificates, permits, grants, approvals, policies, adverts, rosters and revocation lists travel: the
payload's bytes as the author made them, the author's key id, and an Ed25519 signature over `domain || payload`.
Nothing is ever re-serialised before it is checked. A domain string serves one type, so a signature for one purpose
cannot be shown for another.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from kindmesh.protocol.bounds import KeyId, Payload, Signature
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.crypto import SigningKey, verify
from kindmesh.protocol.errors import BadSignature, Malformed
from kindmesh.protocol.ids import key_id
from kindmesh.protocol.limits import ROSTER_MAX

T = TypeVar("T", bound=msgspec.Struct)


class Signed(msgspec.Struct, array_like=True, frozen=True):
    """`payload` bytes, `author` (20-byte id of the signing key), `signature` (64 bytes)."""

    payload: Payload
    author: KeyId
    signature: Signature


def sign_struct(value: msgspec.Struct, domain: bytes, key: SigningKey) -> Signed:
    """Encode `value` once and sign those bytes."""
    payload = encode(value)
    return Signed(payload, key_id(key.public), key.sign(domain + payload))


def open_signed(
    signed: Signed, type_: type[T], domain: bytes, public: bytes, *, limit: int = ROSTER_MAX
) -> T:
    """The struct inside, after its signature was checked against `public` (32 bytes).

    Raises:
        BadSignature: made by another key, for another domain, or changed since.
        Malformed: not a `type_`, or more than `limit` bytes.
    """
    if len(signed.payload) > limit:
        raise Malformed(f"{len(signed.payload)} bytes where at most {limit} are allowed")
    if signed.author != key_id(public) or not verify(public, signed.signature, domain + signed.payload):
        raise BadSignature(f"the signature of this {type_.__name__.lower()} is not valid")
    return decode(type_, signed.payload, limit=limit)


def signed_to_bytes(signed: Signed) -> bytes:
    """For files and columns."""
    return encode(signed)


def signed_from_bytes(data: bytes) -> Signed:
    """Undo `signed_to_bytes`.

    Raises:
        Malformed: not such bytes.
    """
    return decode(Signed, data, limit=ROSTER_MAX + 4096)


__all__ = ["Signed", "open_signed", "sign_struct", "signed_from_bytes", "signed_to_bytes"]
