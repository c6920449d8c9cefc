"""Checks an audit log from its first entry to its last, in constant memory, and says what is wrong and where.

`LogCheck` is fed row after row, then told that this was all. Each row is hashed once; one signature is verified, the
last one's, because older seals are part of the chain. If that one does not fit although the chain does, somebody wrote
the rest of the log anew: then the rows are fed once more with `every_seal`, which finds the first group of entries
whose own signature does not fit. What was cut off at a seal looks whole from here: that is what witnesses are for,
whose remembered heads are compared with `roots` of the sizes in `marks`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from kindmesh.protocol.audit import (
    AuditEntry,
    AuditHead,
    SealedEntry,
    entry_hash,
    first_link,
    link_after,
    open_entry,
    seal_fits,
)
from kindmesh.protocol.errors import Malformed
from kindmesh.protocol.ids import key_id
from kindmesh.protocol.merkle import Frontier, leaf_hash

PROBLEMS_MAX: Final = 50
"""Problems that are told for one log; what is found after that is only counted."""


class Problem(msgspec.Struct, frozen=True):
    """Entries `first` to `last` (numbers from 1), and in words what is wrong with them."""

    first: int
    last: int
    text: str


class LogCheck:
    """One log, by the key `public` of its author. `marks`: sizes at which the root is wanted."""

    def __init__(
        self, mesh: bytes, public: bytes, marks: Iterable[int] = (), *, every_seal: bool = False
    ) -> None:
        self.problems: list[Problem] = []
        self.found = 0
        """How many problems there are, told or not."""
        self.roots: dict[int, bytes] = {}
        self.head: AuditHead | None = None
        """Of the whole log; set by `end` when it has any entry that can be read last."""
        self.rewritten = False
        """The chain fits and a signature does not: feed all once more with `every_seal`."""
        self._mesh, self._public, self._author = mesh, public, key_id(public)
        self._marks = frozenset(marks)
        self._every_seal = every_seal
        self._frontier = Frontier()
        self._link: bytes | None = first_link(mesh, self._author)
        self._tip: tuple[bytes, int] | None = None
        self._last = 0
        self._last_seal = b""
        self._offset = 0
        self._sealed = 0
        self._broken: list[int] = []

    @property
    def entries(self) -> int:
        """How many rows there were."""
        return self._frontier.size

    def feed(self, number: int, row: SealedEntry) -> AuditEntry | None:
        """The next row, which has this number; its entry, or None when it cannot be read."""
        self._place(number)
        self._last_seal = row.seal
        self._frontier.append(leaf_hash(row.entry))
        if number in self._marks:
            self.roots[number] = self._frontier.root()
        chain = entry_hash(row.entry)
        expected, self._link = self._link, link_after(chain, row.seal)
        try:
            entry = open_entry(row.entry)
        except Malformed:
            self._settle()
            self._tell(number, number, "changed: it cannot be read as an entry")
            self._link = self._tip = None
            return None
        moved, self._offset = entry.seq - number != self._offset, entry.seq - number
        if moved and self._offset:
            self._tell(number, number, f"moved, inserted or removed: number {entry.seq} stands here")
            expected = None
        if expected is not None and entry.previous != expected:
            self._broken.append(number - 1)
        else:
            self._settle()
        if (entry.kind, entry.answer) == ("audit", "broken"):
            self._tell(
                number, number, "not what was signed before: the device itself found its log changed here"
            )
            self.rewritten = True
        self._tip = chain, entry.at_ms
        if self._every_seal and row.seal and not self.problems:
            if not seal_fits(self._head_now(chain, entry.at_ms), row.seal, self._public):
                self._tell(self._sealed + 1, number, "changed: their signature does not fit")
            self._sealed = number
        return entry

    def _place(self, number: int) -> None:
        if number != self._last + 1:
            if number > self._last:
                self._tell(self._last + 1, number - 1, "removed: missing here")
            else:
                self._tell(number, number, "moved: not in its place")
            self._settle()
            self._link = None
        self._last = number

    def _head_now(self, chain: bytes, at_ms: int) -> AuditHead:
        return AuditHead(self._mesh, self._author, self._last, self._frontier.root(), chain, at_ms)

    def end(self) -> None:
        """That was all."""
        if self._broken and self._broken[-1] == self._last - 1:
            self._broken.append(self._last)  # the last two do not fit: it may be either
        self._settle()
        if self._tip is not None:
            self.head = self._head_now(*self._tip)
        if not self._last_seal and self._last:
            self._tell(self._last, self._last, "not signed: the log was cut off here, or this was added")
        elif self.head is not None and not self.problems:
            self.rewritten = not seal_fits(self.head, self._last_seal, self._public)

    def _settle(self) -> None:
        """Links that did not fit, one after the other, are one problem: a single one is the earlier entry's."""
        if self._broken:
            first, last = self._broken[0], self._broken[-1]
            self._broken = []
            self._tell(
                max(first, 1), max(last, 1), "changed: the next entry knows another one, or another signature"
            )

    def _tell(self, first: int, last: int, text: str) -> None:
        self.found += 1
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(Problem(first, last, text))


__all__ = ["PROBLEMS_MAX", "LogCheck", "Problem"]
