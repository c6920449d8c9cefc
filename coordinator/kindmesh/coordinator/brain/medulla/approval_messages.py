"""What travels on Medulla's socket about yeses that last; frames as in `messages`.

method      params            payload      what it does
stand       Stand             Standings    take over a person's signed yes that lasts, made out of an open question
unstand     EndStanding       Standings    end one; only narrows, so nobody signs it
standings   []                Standings    those that are in force, with what was used of them
"""

from __future__ import annotations

import msgspec

from kindmesh.protocol.bounds import Count, KeyId, Measure, Name, TimeId
from kindmesh.protocol.signed import Signed


class Stand(msgspec.Struct, array_like=True, frozen=True):
    """A signed `StandingApproval`."""

    standing: Signed


class EndStanding(msgspec.Struct, array_like=True, frozen=True):
    """The id of a standing approval, or of a yes to a routine."""

    standing_id: TimeId


class StandingsWanted(msgspec.Struct, array_like=True, frozen=True):
    """Method `standings` takes nothing."""


class StandingState(msgspec.Struct, array_like=True, frozen=True):
    """One in force: by whom (key id, and a name), how often it was used within its while, and for how much."""

    standing: Signed
    author: KeyId
    name: Name
    used: Count
    amount: Measure


class RoutineState(msgspec.Struct, array_like=True, frozen=True):
    """A yes to a routine that is in force: a signed `RoutineApproval`, by whom, and how often it was used in a day."""

    routine: Signed
    author: KeyId
    name: Name
    used: Count


class Standings(msgspec.Struct, array_like=True, frozen=True):
    """The oldest first."""

    standings: tuple[StandingState, ...]
    routines: tuple[RoutineState, ...] = ()


__all__ = ["EndStanding", "RoutineState", "Stand", "StandingState", "Standings", "StandingsWanted"]
