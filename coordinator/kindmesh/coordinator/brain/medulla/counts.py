"""What was permitted lately, as far as the owner's bounds count it: rates, spending, the same thing twice. Pure.

Counted over the whole household, whoever asks: a coordinator that somebody took over cannot count anew under another
name. A job that is permitted again with the same values (it is tried once more, or somewhere else) counts once. Each
entry is kept as long as a bound looks back, as a row of the kind `did`, so it survives a restart; when `COUNTED_MAX`
are in force, what would have to be counted as well asks.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Final

import msgspec

from kindmesh.coordinator.brain.medulla.instructions import Forget, Save
from kindmesh.coordinator.brain.medulla.review_facts import Done, Ledger
from kindmesh.protocol.bounds import TimeMs
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.crypto import sha256

COUNTED_MAX: Final = 4_096
KEY: Final = 16


class Counted(msgspec.Struct, array_like=True, frozen=True):
    """Something that was permitted, and until when (UTC) a bound looks back at it."""

    until_ms: TimeMs
    done: Done


def count_key(job_id: bytes, operation: str, args: bytes) -> bytes:
    """By what a job that is permitted again is known."""
    return sha256(job_id + operation.encode() + b"\0" + args)[:KEY]


class Counts:
    """Those that count, by key, in the order in which they were permitted."""

    def __init__(self) -> None:
        self.did: dict[bytes, Counted] = {}

    def restorers(self) -> dict[str, Callable[[bytes, bytes], object]]:
        """By the kind of row: what takes its key and value over."""
        return {"did": lambda key, value: self.did.__setitem__(key, decode(Counted, value))}

    def ledger(self, but: bytes, now_ms: int) -> Ledger:
        """What counts now, without what is known by the key `but`."""
        counted = (one.done for key, one in self.did.items() if key != but and one.until_ms > now_ms)
        return Ledger(tuple(sorted(counted, key=lambda done: done.at_ms)))

    def is_full(self, key: bytes, now_ms: int) -> bool:
        """Whether no other could be counted beside those that have to be."""
        if key in self.did or len(self.did) < COUNTED_MAX:
            return False
        return all(one.until_ms > now_ms for one in self.did.values())

    def count(self, key: bytes, counted: Counted, now_ms: int) -> list[Save | Forget]:
        """It is permitted; what no bound looks back at any more is forgotten, and the oldest when there are too many
        (then a person said yes to this one)."""
        many = 2 if len(self.did) < COUNTED_MAX else len(self.did)
        over = [
            known for known, one in islice(self.did.items(), many) if one.until_ms <= now_ms and known != key
        ]
        if key not in self.did and len(self.did) - len(over) >= COUNTED_MAX:
            over.append(next(iter(self.did)))
        for known in over:
            del self.did[known]
        self.did[key] = counted
        return [*(Forget("did", known) for known in over), Save("did", key, encode(counted))]


__all__ = ["COUNTED_MAX", "Counted", "Counts", "count_key"]
