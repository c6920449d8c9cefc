"""Names of things: who (ids from keys) and which (time-ordered ids).

A device, a person and a mesh are named by the first 20 bytes of SHA-256 of their public key, so a name cannot be
claimed without the key. People see it as base32 (RFC 4648 alphabet, lower case) in groups of four with two check
characters at the end, so that a mistyped id is noticed instead of naming somebody else.
Jobs, runs, messages and permits have 16 bytes: 48 bits of UTC milliseconds, then 80 random bits; they sort by time.
"""

from __future__ import annotations

import base64
import binascii

from kindmesh.protocol.crypto import sha256
from kindmesh.protocol.errors import InvalidInput

KEY_ID = 20
TIME_ID = 16
RANDOM_BYTES = 10


def key_id(public: bytes) -> bytes:
    """The 20-byte id of whoever holds the Ed25519 key `public` (32 bytes)."""
    return sha256(public)[:KEY_ID]


def _check(raw: bytes) -> str:
    # 10 bits: a wrong id passes with a probability of 1/1024.
    bits = int.from_bytes(sha256(b"kindmesh-id-check-v1\0" + raw)[:2], "big") >> 6
    alphabet = "abcdefghijklmnopqrstuvwxyz234567"
    return alphabet[bits >> 5] + alphabet[bits & 31]


def format_id(raw: bytes) -> str:
    """`raw` (20 bytes) for people: eight groups of four, a dash, two check characters."""
    if len(raw) != KEY_ID:
        raise ValueError("a key id has 20 bytes")
    text = base64.b32encode(raw).decode().lower()
    return "-".join([text[i : i + 4] for i in range(0, 32, 4)] + [_check(raw)])


def short_id(raw: bytes) -> str:
    """The first eight characters of `format_id`, for tables where the full id would not fit. Not an address."""
    return format_id(raw)[:9]


def parse_id(text: str) -> bytes:
    """The 20 bytes behind `format_id`; case, spaces and dashes do not matter.

    Raises:
        InvalidInput: wrong length, a character outside the alphabet, or check characters that do not fit.
    """
    plain = "".join(text.split()).replace("-", "").lower()
    if len(plain) != 34 or not plain.isascii():
        raise InvalidInput("an id has 34 characters", field="id", hint="Copy it from kindmesh nodes --json.")
    try:
        raw = base64.b32decode(plain[:32].upper())
    except (binascii.Error, ValueError) as error:
        raise InvalidInput("an id has only letters and the digits 2 to 7", field="id") from error
    if _check(raw) != plain[32:]:
        raise InvalidInput("the id has a typing error: its check characters do not fit", field="id")
    return raw


def new_id(now_ms: int, entropy: bytes) -> bytes:
    """A time-ordered id: `now_ms` (0..2**48-1) and 10 random bytes."""
    if len(entropy) != RANDOM_BYTES:
        raise ValueError("a time-ordered id takes 10 random bytes")
    return now_ms.to_bytes(6, "big") + entropy


def id_time_ms(raw: bytes) -> int:
    """When `new_id` made it, UTC milliseconds."""
    return int.from_bytes(raw[:6], "big")


def format_time_id(raw: bytes) -> str:
    """A 16-byte id for people and JSON: 26 characters of base32hex, which sort as the bytes do."""
    if len(raw) != TIME_ID:
        raise ValueError("a time-ordered id has 16 bytes")
    return base64.b32hexencode(raw).decode().rstrip("=").lower()


def parse_time_id(text: str) -> bytes:
    """The 16 bytes behind `format_time_id`.

    Raises:
        InvalidInput: not such an id.
    """
    plain = text.strip().upper()
    try:
        raw = base64.b32hexdecode(plain + "=" * (-len(plain) % 8))
    except (binascii.Error, ValueError) as error:
        raise InvalidInput("this is not a job id", field="id", hint="kindmesh jobs lists them.") from error
    if len(raw) != TIME_ID or format_time_id(raw).upper() != plain:
        raise InvalidInput("this is not a job id", field="id", hint="kindmesh jobs lists them.")
    return raw


def time_id_range(text: str) -> tuple[bytes, bytes]:
    """The least and the greatest id whose `format_time_id` begins with `text` (1 to 26 characters).

    Raises:
        InvalidInput: no id begins so.
    """
    plain = text.strip().upper()
    if not 0 < len(plain) < 26:
        raw = parse_time_id(text)
        return raw, raw
    if not set(plain) <= set("0123456789ABCDEFGHIJKLMNOPQRSTUV"):
        raise InvalidInput("this is not a job id", field="id", hint="kindmesh jobs lists them.")
    first, last = (base64.b32hexdecode(plain.ljust(26, fill) + "=" * 6) for fill in "0V")
    return first, last


__all__ = [
    "format_id",
    "format_time_id",
    "id_time_ms",
    "key_id",
    "new_id",
    "parse_id",
    "parse_time_id",
    "short_id",
    "time_id_range",
]
