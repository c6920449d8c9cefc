"""Who acts: the owner, a person, a device, or something that always acts for a person (a goal, a limb, another home).

    owner    whoever runs the coordinator's machine; what asks needs the owner's signature anyway
    person   a member with a key of its own; proven by a signature over each request (see `people`)
    device   a member's device, for whoever uses it: no person's signature came with the request
    goal, limb, home    act for a person, within a signed delegation, and never beyond that person

A principal has one text (`principal_text`), made of ids only: `owner`, `person ID`, `device ID`, `goal ID for person
ID`. It says whose a job is; names are for showing and never decide.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Literal

import msgspec

from kindmesh.protocol.bounds import Name, OptionalKey, Word, printable
from kindmesh.protocol.errors import InvalidInput, Malformed
from kindmesh.protocol.ids import format_id

PrincipalKind = Literal["owner", "person", "device", "goal", "limb", "home"]
ActingKind = Literal["goal", "limb", "home"]
ACTING: Final[tuple[ActingKind, ...]] = ("goal", "limb", "home")
"""Kinds that are not people and act for one."""
_ACTING_ID_MAX: Final = 64


class Principal(msgspec.Struct, array_like=True, frozen=True):
    """`id`: a person's or device's id as text, or the word that names a goal, limb or home; empty for the owner.
    `acting_for`: `owner` or a person's id as text, only for goals, limbs and homes. `device` (20 bytes, or empty):
    where it was asked, if not at the coordinator itself."""

    kind: PrincipalKind
    id: Word = ""
    name: Name = ""
    acting_for: Word = ""
    device: OptionalKey = b""

    @property
    def person(self) -> str:
        """Whom it is or acts for: `owner`, a person's id as text, or empty for a bare device."""
        if self.kind in ("owner", "person"):
            return self.id or "owner"
        return self.acting_for


OWNER: Final = Principal("owner", name="owner")

device_text = lru_cache(maxsize=1024)(format_id)


def device_principal(device: bytes, name: str = "") -> Principal:
    """A member's device (20 bytes), for whoever uses it."""
    return Principal("device", device_text(device), name, device=device)


def person_principal(person: bytes, name: str, device: bytes = b"") -> Principal:
    """A person (20-byte id), asking at `device`."""
    return Principal("person", device_text(person), name, device=device)


def parse_acting(text: str) -> tuple[ActingKind, str]:
    """`goal:water-the-plants` -> kind and id.

    Raises:
        InvalidInput: not such a text.
    """
    head, _, tail = text.partition(":")
    for kind in ACTING:
        if kind == head and 0 < len(tail) <= _ACTING_ID_MAX and tail.isprintable() and " " not in tail:
            return kind, tail
    raise InvalidInput(
        f"{printable(text[:40])!r} does not name what acts",
        field="acting",
        hint=f"Write {', '.join(f'{kind}:NAME' for kind in ACTING)}; the name has no spaces.",
    )


def principal_text(principal: Principal) -> str:
    """The one text of a principal; see the module."""
    if principal.kind == "owner":
        return "owner"
    text = f"{principal.kind} {principal.id}"
    if not principal.acting_for:
        return text
    return f"{text} for {principal.acting_for if principal.acting_for == 'owner' else 'person ' + principal.acting_for}"


def belongs_to(owner: Principal, text: str) -> bool:
    """Whether a job with that principal's text is `owner`'s: asked by it, or by something that acts for it."""
    if owner.kind == "owner":
        return True
    own = principal_text(owner)
    return text == own or (owner.kind == "person" and text.endswith(f" for {own}"))


def describe_principal(principal: Principal) -> str:
    """For the fenced prompt, in one line that text from others cannot break."""
    name = printable(principal.name)
    if principal.kind == "owner":
        return name or "owner"
    if principal.kind in ("person", "device"):
        known = printable(principal.id)
        return f"{principal.kind} {name} ({known})" if name else f"{principal.kind} {known}"
    whom = f"{name} ({printable(principal.acting_for)})" if name else printable(principal.acting_for)
    return f"{principal.kind} {printable(principal.id)}, acting for {whom}"


def principal_document(principal: Principal) -> dict[str, str]:
    """As plain data, for jobs and control sockets."""
    return {
        "kind": principal.kind,
        "id": principal.id,
        "name": principal.name,
        "acting_for": principal.acting_for,
    }


def principal_from_text(text: str) -> Principal:
    """Undo `principal_text`, without names.

    Raises:
        Malformed: no such text.
    """
    if text == "owner":
        return OWNER
    head, _, whom = text.partition(" for ")
    kind, _, id_ = head.partition(" ")
    for known in ("person", "device", "goal", "limb", "home"):
        if kind == known:
            return Principal(known, id_, acting_for=whom.removeprefix("person "))
    raise Malformed(f"{printable(text[:80])!r} names nobody who acts")


__all__ = [
    "ACTING",
    "OWNER",
    "ActingKind",
    "Principal",
    "PrincipalKind",
    "belongs_to",
    "describe_principal",
    "device_principal",
    "device_text",
    "parse_acting",
    "person_principal",
    "principal_document",
    "principal_from_text",
    "principal_text",
]
