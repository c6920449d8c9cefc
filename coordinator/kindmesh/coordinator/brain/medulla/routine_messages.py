"""What travels on Medulla's socket about yeses to learned routines; frames as in `messages`.

method      params            payload      what it does
propose     Propose           Proposed     lay a sentence and its steps before a person; makes what they may sign
agree       Agree             Standings    take over the person's signed yes, made out of what was laid before them

They are listed by `standings` and ended by `unstand`, as the others that last.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from kindmesh.protocol.bounds import Arguments, KeyId, Word
from kindmesh.protocol.plan_labels import HeardWords
from kindmesh.protocol.principal import Principal
from kindmesh.protocol.roles import Purpose
from kindmesh.protocol.routine import ROUTINE_STEPS_MAX, StepNumber
from kindmesh.protocol.signed import Signed


class ProposedStep(msgspec.Struct, array_like=True, frozen=True):
    """A step as the coordinator means to have it done; what it does, and what the device is called, Medulla adds."""

    operation: Word
    target: KeyId
    args: Arguments
    after: Annotated[tuple[StepNumber, ...], msgspec.Meta(max_length=ROUTINE_STEPS_MAX)] = ()


class Propose(msgspec.Struct, array_like=True, frozen=True):
    """Whose sentence it is, its words, and its steps."""

    principal: Principal
    words: HeardWords
    steps: Annotated[tuple[ProposedStep, ...], msgspec.Meta(min_length=1, max_length=ROUTINE_STEPS_MAX)]
    purpose: Purpose = "household"


class Proposed(msgspec.Struct, array_like=True, frozen=True):
    """The bytes of a `RoutineRequest`, to show and have signed."""

    request: bytes


class Agree(msgspec.Struct, array_like=True, frozen=True):
    """A signed `RoutineApproval`."""

    approval: Signed


__all__ = ["Agree", "Propose", "Proposed", "ProposedStep"]
