"""Signed messages: `[header][signature][body]`.

The signature covers `"kindmesh-env-v1\\0" || header` as the bytes were received; the header holds the body's hash, so
all of it is bound without hashing large bodies twice. `open_envelope` checks in this order: sizes, shape, version,
mesh addressing, author's key, signature, body hash, age. Replay is judged apart (`replay`), because it needs memory.
Whoever calls says who the author may be: the header's `src` is looked up in the membership, never believed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from kindmesh.protocol.bounds import Count, DurationMs, Hash, KeyId, OptionalTimeId, Tag, TimeId, TimeMs
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.crypto import SigningKey, sha256, verify
from kindmesh.protocol.errors import (
    BadSignature,
    ClockSkew,
    Expired,
    Malformed,
    UnsupportedVersion,
    WrongDestination,
)
from kindmesh.protocol.limits import (
    BODY_MAX,
    CLOCK_SKEW_MS,
    HEADER_MAX,
    TTL_DEFAULT_MS,
    WIRE_VERSION,
)
from kindmesh.protocol.limits import WIRE_VERSIONS as VERSIONS

ENVELOPE_DOMAIN: Final = b"kindmesh-env-v1\0"
OPTIONAL_SIZES: Final = (0, 16)


class Header(msgspec.Struct, array_like=True, frozen=True):
    """`message_id` 16 bytes; `src`, `dst` 20-byte ids; `boot` the persisted boot counter and `tag` 8 random bytes of
    this boot; `sequence` rises by one per message and boot; `in_reply_to` and `trace` are 16 bytes or empty."""

    version: Count
    type: Count
    message_id: TimeId
    src: KeyId
    dst: KeyId
    boot: Count
    tag: Tag
    sequence: Count
    issued_ms: TimeMs
    ttl_ms: DurationMs
    in_reply_to: OptionalTimeId
    trace: OptionalTimeId
    body_hash: Hash


class Envelope(msgspec.Struct, frozen=True):
    """A checked message: its header and its body's bytes (decode with the type's struct)."""

    header: Header
    body: bytes
    hash: bytes
    """SHA-256 of the header and signature: names exactly this message (handshakes bind to it)."""


def envelope_hash(frames: Sequence[bytes]) -> bytes:
    """SHA-256 over the header and signature frames."""
    return sha256(frames[0] + frames[1])


def make_envelope(
    key: SigningKey,
    *,
    type_: int,
    message_id: bytes,
    src: bytes,
    dst: bytes,
    boot: int,
    tag: bytes,
    sequence: int,
    issued_ms: int,
    body: bytes,
    ttl_ms: int = TTL_DEFAULT_MS,
    in_reply_to: bytes = b"",
    trace: bytes = b"",
) -> list[bytes]:
    """The three frames of a signed message."""
    header = encode(
        Header(
            WIRE_VERSION,
            type_,
            message_id,
            src,
            dst,
            boot,
            tag,
            sequence,
            issued_ms,
            ttl_ms,
            in_reply_to,
            trace,
            sha256(body),
        )
    )
    return [header, key.sign(ENVELOPE_DOMAIN + header), body]


def peek_header(frames: Sequence[bytes]) -> Header:
    """The header, unchecked: only for relays that look up where a message goes.

    Raises:
        Malformed, UnsupportedVersion.
    """
    if len(frames) != 3:
        raise Malformed(f"a message has 3 frames, not {len(frames)}")
    header = decode(Header, frames[0], limit=HEADER_MAX)
    if header.version not in VERSIONS:
        raise UnsupportedVersion(f"wire version {header.version} is not spoken here")
    if len(header.in_reply_to) not in OPTIONAL_SIZES or len(header.trace) not in OPTIONAL_SIZES:
        raise Malformed("an id in the header has the wrong length")
    return header


def open_envelope(
    frames: Sequence[bytes], *, dst: bytes, now_ms: int, public_key: Callable[[bytes], bytes]
) -> Envelope:
    """Check a message for `dst` (this device); `public_key(src)` gives the author's Ed25519 key or raises.

    Raises:
        Malformed, UnsupportedVersion: not a message.
        WrongDestination: for somebody else.
        UnknownMember, Revoked: from `public_key`.
        BadSignature: not the author's, or changed.
        ClockSkew, Expired: dated in the future beyond the tolerance, or past its time to live.
    """
    header = peek_header(frames)
    if header.dst != dst:
        raise WrongDestination()
    if len(frames[2]) > BODY_MAX:
        raise Malformed(f"a body of {len(frames[2])} bytes where at most {BODY_MAX} are allowed")
    if not verify(public_key(header.src), frames[1], ENVELOPE_DOMAIN + frames[0]):
        raise BadSignature("the message was not signed by its author")
    if sha256(frames[2]) != header.body_hash:
        raise BadSignature("the message's body was changed")
    check_age(header, now_ms)
    return Envelope(header, frames[2], envelope_hash(frames))


def check_age(header: Header, now_ms: int) -> None:
    """Refuse what is dated ahead of the clock or past its time to live (both with the skew tolerance).

    Raises:
        ClockSkew, Expired.
    """
    if header.issued_ms > now_ms + CLOCK_SKEW_MS:
        ahead_s = (header.issued_ms - now_ms) // 1000
        raise ClockSkew(f"the message is dated {ahead_s} s ahead of this device's clock")
    if now_ms > header.issued_ms + header.ttl_ms + CLOCK_SKEW_MS:
        late_s = (now_ms - header.issued_ms - header.ttl_ms) // 1000
        raise Expired(f"the message is {late_s} s past its time", hint="Is a clock wrong?")


__all__ = [
    "Envelope",
    "Header",
    "check_age",
    "envelope_hash",
    "make_envelope",
    "open_envelope",
    "peek_header",
]
