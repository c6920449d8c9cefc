"""Yeses that last, as Medulla remembers them: each with the person's signature, and what was used of it. Pure.

Uses are counted within a while that moves along with time (`per_ms` of the approval), so what was used up comes back
use by use. Rows are checked again when they are restored, as if they had just arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Final

import msgspec

from kindmesh.coordinator.brain.medulla.instructions import Forget, Save
from kindmesh.coordinator.brain.medulla.routines import Routines
from kindmesh.protocol.bounds import Measure, TimeMs
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.signed import Signed
from kindmesh.protocol.standing import TIMES_MAX, StandingApproval, open_standing

STANDINGS_MAX: Final = 256


class Use(msgspec.Struct, array_like=True, frozen=True):
    """When, and for how much."""

    at_ms: TimeMs
    amount: Measure = 0.0


class Kept(msgspec.Struct, array_like=True, frozen=True):
    """A signed `StandingApproval`, and its uses, the oldest first."""

    signed: Signed
    uses: Annotated[tuple[Use, ...], msgspec.Meta(max_length=TIMES_MAX)] = ()


class Approvals:
    """Those in force, by id, the oldest first; `routines`: those to learned routines."""

    def __init__(self) -> None:
        self.standing: dict[bytes, tuple[StandingApproval, Kept]] = {}
        self.routines = Routines()

    def restorers(self, public: Callable[[bytes], bytes]) -> dict[str, Callable[[bytes, bytes], object]]:
        """By the kind of row: what takes its key and value over. `public` finds the key of a person or an owner."""

        def standing(key: bytes, value: bytes) -> None:
            kept = decode(Kept, value)
            self.put(open_standing(kept.signed, public(kept.signed.author)), kept)

        return {"standing": standing, **self.routines.restorers(public)}

    def put(self, standing: StandingApproval, kept: Kept) -> Save:
        """It is in force, with these uses."""
        self.standing[standing.standing_id] = (standing, kept)
        return Save("standing", standing.standing_id, encode(kept))

    def drop(self, standing_id: bytes) -> list[Forget]:
        """It is over; again changes nothing."""
        if self.standing.pop(standing_id, None):
            return [Forget("standing", standing_id)]
        return self.routines.drop(standing_id)

    def drop_of(self, authors: Iterable[bytes]) -> list[Forget]:
        """Whoever signed them leaves."""
        gone = set(authors)
        leaving = [id_ for id_, (_, kept) in self.standing.items() if kept.signed.author in gone]
        return [*(forget for id_ in leaving for forget in self.drop(id_)), *self.routines.drop_of(gone)]

    def drop_ended(self, now_ms: int) -> list[Forget]:
        """Those past their end."""
        ended = [id_ for id_, (standing, _) in self.standing.items() if now_ms > standing.expires_ms]
        return [forget for id_ in ended for forget in self.drop(id_)]

    def uses(self, standing_id: bytes, now_ms: int) -> tuple[Use, ...]:
        """Those that count now."""
        standing, kept = self.standing[standing_id]
        return tuple(use for use in kept.uses if use.at_ms > now_ms - standing.per_ms)

    def has_room(self, standing_id: bytes, amount: float, now_ms: int) -> bool:
        """Whether it may be used once more, for that much."""
        standing, _ = self.standing[standing_id]
        uses = self.uses(standing_id, now_ms)
        if len(uses) >= standing.times:
            return False
        return not standing.amount or sum(use.amount for use in uses) + amount <= standing.altogether

    def use(self, standing_id: bytes, amount: float, now_ms: int) -> Save:
        """It was used for that much."""
        standing, kept = self.standing[standing_id]
        uses = (*self.uses(standing_id, now_ms), Use(now_ms, amount))
        return self.put(standing, Kept(kept.signed, uses))


__all__ = ["STANDINGS_MAX", "Approvals", "Kept", "Use"]
