"""Types with their bounds: what a field may hold at most, checked while the bytes are decoded.

Structs name these in their annotations, so bytes from a stranger never become a struct with a device id of 3 bytes, a
negative epoch, a number that a store or another language cannot hold, or a fraction that is not a number. To a type
checker each is its plain type (`bytes`, `int`, `float`, `str`); nothing is checked when our own code builds a struct.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from kindmesh.protocol.limits import (
    ARGUMENTS_MAX,
    NAME_MAX,
    PAIR_SECRET,
    RESULT_MAX,
    ROSTER_MAX,
    TEXT_MAX,
    TTL_MAX_MS,
)

KeyId = Annotated[bytes, Meta(min_length=20, max_length=20)]
"""Id of a device, a person or a mesh."""
TimeId = Annotated[bytes, Meta(min_length=16, max_length=16)]
"""Time-ordered id of a message, job, run, permit, grant or request."""
OptionalTimeId = Annotated[bytes, Meta(max_length=16)]
"""16 bytes, or empty for none."""
Hash = Annotated[bytes, Meta(min_length=32, max_length=32)]
"""SHA-256, or an HMAC with it."""
Key = Annotated[bytes, Meta(min_length=32, max_length=32)]
"""A public key (Ed25519 or X25519)."""
OptionalKey = Annotated[bytes, Meta(max_length=32)]
"""32 bytes, or empty for none."""
Nonce = Annotated[bytes, Meta(min_length=32, max_length=32)]
Secret = Annotated[bytes, Meta(min_length=PAIR_SECRET, max_length=PAIR_SECRET)]
Tag = Annotated[bytes, Meta(min_length=8, max_length=8)]
Signature = Annotated[bytes, Meta(min_length=64, max_length=64)]
Payload = Annotated[bytes, Meta(max_length=ROSTER_MAX)]
Arguments = Annotated[bytes, Meta(max_length=ARGUMENTS_MAX)]
Result = Annotated[bytes, Meta(max_length=RESULT_MAX)]

Count = Annotated[int, Meta(ge=0, le=2**53)]
"""Versions, counters, sizes: exact in every language, and in SQLite."""
TimeMs = Annotated[int, Meta(ge=0, le=2**53)]
"""UTC milliseconds."""
DurationMs = Annotated[int, Meta(ge=0, le=TTL_MAX_MS)]
"""At most a week."""
Effects = Annotated[int, Meta(ge=0, le=255)]
"""A bit set of `manifest.Effect`."""
Reference = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Measure = Annotated[float, Meta(ge=-1e15, le=1e15)]
"""A finite number."""

Word = Annotated[str, Meta(max_length=80)]
"""A name that programs choose: an operation, a capability, a role, a method."""
Name = Annotated[str, Meta(max_length=NAME_MAX)]
"""A name that people choose."""
Line = Annotated[str, Meta(max_length=500)]
Text = Annotated[str, Meta(max_length=TEXT_MAX)]


def printable(text: str) -> str:
    """`text` from somebody else, made safe to show on one line: whatever could move the cursor, break the line, hide
    or reorder characters (controls, line separators, bidirectional and zero-width marks) becomes its `\\u` escape."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


__all__ = [
    "Arguments",
    "Count",
    "DurationMs",
    "Effects",
    "Fraction",
    "Hash",
    "Key",
    "KeyId",
    "Line",
    "Measure",
    "Name",
    "Nonce",
    "OptionalKey",
    "OptionalTimeId",
    "Payload",
    "Reference",
    "Result",
    "Secret",
    "Signature",
    "Tag",
    "Text",
    "TimeId",
    "TimeMs",
    "Word",
    "printable",
]
