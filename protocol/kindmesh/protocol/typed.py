"""Pairing with a code that a person can type: two words and four digits, checked by SPAKE2.

    device                                      coordinator (one window, one code)
      asks for DoorKeys, in the clear        ->     (public keys only; nobody has to believe them)
      TypedStart{share}                      ->     over CURVE, with the key that was told
                                            <- TypedShare{share}
      TypedConfirm{hmac}                     ->     the device knows the code, and talks to the right key
                                            <- TypedAccepted{hmac, expires, role}
      EnrolHello ...                                as with a QR code, keyed with a secret that both derived

The code is short, so nobody may try codes out: a share is worth one guess, and every exchange that was started and not
confirmed counts as a failure of the window. Both identities go into the key: the device's CURVE key on one side, the
door's CURVE key, the coordinator's Ed25519 key and the mesh on the other. Somebody in the middle who gave the device
keys of its own therefore gets another key, and the confirmation fails, which is all that it learns.
The arithmetic is in `kindmesh.mesh.spake`; this module is what travels and what is derived.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kindmesh.protocol.bounds import Count, Hash, Key, KeyId, Word
from kindmesh.protocol.codec import encode
from kindmesh.protocol.crypto import constant_time_equal, hkdf_sha256, hmac_sha256
from kindmesh.protocol.errors import EnrolmentRefused, InvalidInput, UnsupportedVersion
from kindmesh.protocol.limits import PAIR_SECRET
from kindmesh.protocol.words import WORDS

TYPED_VERSION: Final = 1
TYPED_DEVICE_DOMAIN: Final = b"kindmesh-typed-device-v1\0"
TYPED_HOST_DOMAIN: Final = b"kindmesh-typed-host-v1\0"
TYPED_SECRET_INFO: Final = b"kindmesh-typed-secret-v1"
CODE_HINT: Final = "A code is two words and four digits, like maple otter 4821."

Share = Annotated[bytes, Meta(min_length=33, max_length=33)]
"""A side byte and a point of the curve."""


class DoorKeys(msgspec.Struct, array_like=True, frozen=True):
    """Where a door is and what it will prove: public, unauthenticated. `door` is the TCP port of the enrol socket."""

    version: Count
    mesh: KeyId
    ed_pub: Key
    curve_pub: Key
    door: Annotated[int, Meta(ge=1, le=65_535)]


class TypedStart(msgspec.Struct, array_like=True, frozen=True, tag="typed-start"):
    """The device's share."""

    version: Count
    share: Share


class TypedShare(msgspec.Struct, array_like=True, frozen=True, tag="typed-share"):
    """The door's share."""

    share: Share


class TypedConfirm(msgspec.Struct, array_like=True, frozen=True, tag="typed-confirm"):
    """The device's key confirmation."""

    mac: Hash


class TypedAccepted(msgspec.Struct, array_like=True, frozen=True, tag="typed-accepted"):
    """The door's key confirmation, over the rest of what an invitation would have said."""

    mac: Hash
    expires_s: Count
    role: Word


def typed_identities(device_curve: bytes, keys: DoorKeys) -> tuple[bytes, bytes]:
    """The device's and the door's identity in SPAKE2."""
    public = DoorKeys(keys.version, keys.mesh, keys.ed_pub, keys.curve_pub, 1)
    return TYPED_DEVICE_DOMAIN + device_curve, TYPED_HOST_DOMAIN + encode(public)


def typed_secret(key: bytes) -> bytes:
    """The 16 bytes that take the place of a QR's secret; `key` is what SPAKE2 gave (32 bytes)."""
    return hkdf_sha256(key, b"", TYPED_SECRET_INFO, PAIR_SECRET)


def typed_confirm(key: bytes) -> TypedConfirm:
    """The device's confirmation."""
    return TypedConfirm(hmac_sha256(key, TYPED_DEVICE_DOMAIN))


def typed_accepted(key: bytes, expires_s: int, role: str) -> TypedAccepted:
    """The door's confirmation."""
    bare = TypedAccepted(bytes(32), expires_s, role)
    return TypedAccepted(hmac_sha256(key, TYPED_HOST_DOMAIN + encode(bare)), expires_s, role)


def check_start(start: TypedStart) -> None:
    """Refuse another version.

    Raises:
        UnsupportedVersion.
    """
    if start.version != TYPED_VERSION:
        raise UnsupportedVersion(f"the device pairs with version {start.version}, we with {TYPED_VERSION}")


def check_confirm(key: bytes, confirm: TypedConfirm) -> None:
    """Refuse a device that was told another code, or other keys than ours.

    Raises:
        EnrolmentRefused.
    """
    if not constant_time_equal(typed_confirm(key).mac, confirm.mac):
        hint = "Look at the code again and type it once more: kindmesh join --code ..."
        raise EnrolmentRefused("the code is not the one that is shown here", hint=hint)


def check_accepted(key: bytes, accepted: TypedAccepted) -> None:
    """Refuse a door that does not know the code.

    Raises:
        EnrolmentRefused.
    """
    if not constant_time_equal(typed_accepted(key, accepted.expires_s, accepted.role).mac, accepted.mac):
        raise EnrolmentRefused("who answers does not know this code")


def make_code(random: bytes) -> str:
    """Two words and four digits out of 10 random bytes; 29 bits."""
    number = int.from_bytes(random[2:10], "big") % 10_000
    return f"{WORDS[random[0]]} {WORDS[random[1]]} {number:04d}"


def parse_code(text: str) -> str:
    """The code as it is meant, however it was typed: case, spaces, hyphens and other marks do not matter.

    Raises:
        InvalidInput: it is no code; names the word that is in no list, and the nearest one.
    """
    plain = text.casefold()
    digits = "".join(re.findall(r"[0-9]", plain))
    words = re.findall(r"[^\W\d_]+", plain)
    if len(words) == 1:
        words = _split(words[0])
    if len(words) != 2 or len(digits) != 4:
        raise InvalidInput("this is not a pairing code", field="code", hint=CODE_HINT)
    for word in words:
        if word not in WORDS:
            near = nearest(word, WORDS)
            hint = f"Did you mean {near}?" if near else CODE_HINT
            raise InvalidInput(f"{word[:40]!r} is not in the list of words", field="code", hint=hint)
    return f"{words[0]} {words[1]} {digits}"


def _split(run: str) -> list[str]:
    """Two words that were typed without a space between them."""
    for length in range(1, len(run)):
        if run[:length] in WORDS and run[length:] in WORDS:
            return [run[:length], run[length:]]
    return [run]


def nearest(word: str, known: Sequence[str]) -> str:
    """The one of `known` with the fewest letters to change, add, remove or swap, up to two; empty if none is near."""
    if len(word) > 12:
        return ""
    best = min(known, key=lambda other: (distance(word, other), other))
    return best if distance(word, best) <= 2 else ""


def distance(left: str, right: str) -> int:
    """Edits between two words (Damerau-Levenshtein, neighbours swapped count as one)."""
    before: list[int] = []
    row = list(range(len(right) + 1))
    for index, char in enumerate(left, 1):
        older, before, row = before, row, [index]
        for at, other in enumerate(right, 1):
            cost = min(before[at] + 1, row[at - 1] + 1, before[at - 1] + (char != other))
            if index > 1 < at and char == right[at - 2] and left[index - 2] == other:
                cost = min(cost, older[at - 2] + 1)
            row.append(cost)
    return row[-1]


__all__ = [
    "TYPED_DEVICE_DOMAIN",
    "TYPED_HOST_DOMAIN",
    "TYPED_VERSION",
    "DoorKeys",
    "TypedAccepted",
    "TypedConfirm",
    "TypedShare",
    "TypedStart",
    "check_accepted",
    "check_confirm",
    "check_start",
    "distance",
    "make_code",
    "nearest",
    "parse_code",
    "typed_accepted",
    "typed_confirm",
    "typed_identities",
    "typed_secret",
]
