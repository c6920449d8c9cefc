"""What travels when somebody is about to be told how things are: method `look` of Medulla's socket.

    look     Look             Looked         whether who asks may know what a device tells of these things

It permits nothing and keeps nothing, like `review`; unlike that it is quick, since every question waits for it.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kindmesh.protocol.bounds import KeyId, Line, Word
from kindmesh.protocol.policy import Answer
from kindmesh.protocol.principal import Principal
from kindmesh.protocol.roles import Purpose
from kindmesh.protocol.signed import Signed
from kindmesh.protocol.utterance_evidence import Evidence

THINGS_MAX: Final = 64
"""Things in one request: permits wait no longer than it takes to work their answers out."""
ThingId = Annotated[str, Meta(min_length=1, max_length=130)]
Things = Annotated[tuple[ThingId, ...], Meta(max_length=THINGS_MAX)]


class Look(msgspec.Struct, array_like=True, frozen=True):
    """`operation`: the one that tells it, on the device `target`; `things`: ids, in the device's own words;
    `principal`, `purpose`, `evidence`: who asks, what for, and what proves it; `proof`: a person's own request for a
    session call of this operation. Neither is used up by it."""

    operation: Word
    target: KeyId
    things: Things
    principal: Principal
    purpose: Purpose = "household"
    evidence: Evidence | None = None
    proof: Signed | None = None


class Withheld(msgspec.Struct, array_like=True, frozen=True):
    """One thing that who asks may not know (`deny`), or only with a yes (`ask`): the rule's name, and a sentence."""

    thing: ThingId
    answer: Answer
    rule: Word
    message: Line


class Looked(msgspec.Struct, array_like=True, frozen=True):
    """`answer`, `rule` and `message` are about everything that the device tells; `withheld` about single things, and
    `by_thing` says whether it can differ from one to the next: else nothing more has to be asked."""

    answer: Answer
    rule: Word = ""
    message: Line = ""
    withheld: Annotated[tuple[Withheld, ...], Meta(max_length=THINGS_MAX)] = ()
    by_thing: bool = False


__all__ = ["THINGS_MAX", "Look", "Looked", "ThingId", "Things", "Withheld"]
