"""Remembers how far the logs of others went, so that cutting off or rewriting one of them does not stay unseen.

With each heartbeat a device says how much of the other side's log it remembers, and gets, when there is more, the
newest signed head with the proof (RFC 9162) that what it remembers is the beginning of it. A head that is older, or
that does not continue what is remembered, is an alarm: it is noted in this device's own log, told by `doctor` and
`kindmesh audit verify`, and both heads are kept, each signed by the same key: that is the evidence. The alarm stays
until the owner has looked (`accept`). What is remembered is in the store, so a restart forgets nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

import msgspec

from kindmesh.mesh.audit import AuditLog
from kindmesh.mesh.store import Store
from kindmesh.protocol.audit import AuditHead, AuditNews, AuditSeen, Verdict, judge_head, open_head
from kindmesh.protocol.codec import decode
from kindmesh.protocol.ids import key_id
from kindmesh.protocol.signed import Signed, signed_from_bytes, signed_to_bytes

log = logging.getLogger("kindmesh.mesh.audit")

SEND_EVERY: Final = 5
"""Beats between two heads of one log to one peer."""
_KEEP: Final = (
    "INSERT INTO audit_head (author, head, seen_ms) VALUES (?, ?, ?)"
    " ON CONFLICT (author) DO UPDATE SET head = excluded.head, seen_ms = excluded.seen_ms"
)
_ALARM: Final = "UPDATE audit_head SET problem = ?, other = ? WHERE author = ?"


class Remembered(msgspec.Struct, frozen=True):
    """The newest head of a log (of `author`) that was seen, at `seen_ms`; `problem` and the `other` head if one was
    seen that does not continue it."""

    author: bytes
    head: Signed
    seen_ms: int
    problem: str = ""
    other: Signed | None = None


def remembered(store: Store) -> list[Remembered]:
    """What is kept in a store with an audit log; also one that was opened for reading only."""
    rows = store.query("SELECT author, head, seen_ms, problem, other FROM audit_head ORDER BY author")
    return [
        Remembered(
            bytes(author),
            signed_from_bytes(bytes(head)),
            int(seen_ms),
            str(problem),
            None if other is None else signed_from_bytes(bytes(other)),
        )
        for author, head, seen_ms, problem, other in rows
    ]


class Witness:
    """For the logs of others; `audit` is this device's own, in the same store."""

    def __init__(self, store: Store, audit: AuditLog) -> None:
        self._store, self._audit = store, audit
        self._known = {one.author: one for one in remembered(store)}
        self._heads = {author: decode(AuditHead, one.head.payload) for author, one in self._known.items()}

    def seen(self, authors: Iterable[bytes]) -> tuple[AuditSeen, ...]:
        """What to tell the other side."""
        heads = ((author, self._heads.get(author)) for author in authors)
        return tuple(AuditSeen(author, head.size if head else 0) for author, head in heads)

    def size(self, author: bytes) -> int:
        """How many entries of that log are remembered."""
        head = self._heads.get(author)
        return head.size if head else 0

    def take(self, news: AuditNews, public: bytes, now_ms: int) -> Verdict:
        """Judge a head of the log of `public`, and keep what is newer.

        Raises:
            BadSignature, Malformed: it is not that author's; nothing changed.
            DiskFull, StoreError: it is not remembered.
        """
        head = open_head(news.head, public, self._audit.mesh)
        author = key_id(public)
        known = self._heads.get(author)
        verdict = judge_head(known, head, news.base, news.proof)
        if verdict in ("first", "newer"):
            self._store.execute(_KEEP, (author, signed_to_bytes(news.head), now_ms))
            before = self._known.get(author)
            self._heads[author] = head
            self._known[author] = Remembered(
                author,
                news.head,
                now_ms,
                before.problem if before else "",
                before.other if before else None,
            )
        elif verdict in ("shrunk", "rewritten") and known is not None:
            self._alarm(verdict, known, head, news.head)
        return verdict

    def _alarm(self, verdict: Verdict, known: AuditHead, head: AuditHead, signed: Signed) -> None:
        author = known.author
        if verdict == "shrunk":
            problem = f"it had {known.size} entries and now shows {head.size}: the end was cut off"
        else:
            problem = f"its first {known.size} entries are not what they were: it was written anew"
        before = self._known[author]
        if before.problem:
            return
        log.error("an audit log does not continue what was seen", extra={"peer": author.hex()[:8]})
        self._store.execute(_ALARM, (problem, signed_to_bytes(signed), author))
        self._known[author] = msgspec.structs.replace(before, problem=problem, other=signed)
        self._audit.note("witness", verdict, subject=author, number=known.size)

    def all(self) -> list[Remembered]:
        """Everything that is remembered, by author."""
        return [self._known[author] for author in sorted(self._known)]

    def problems(self) -> list[Remembered]:
        """The logs that raised an alarm."""
        return [one for one in self.all() if one.problem]

    def accept(self, author: bytes) -> bool:
        """The owner has looked: forget what was remembered of that log, its next head is the first; False when nothing
        was. Raises: DiskFull, StoreError."""
        if self._known.pop(author, None) is None:
            return False
        size = self._heads.pop(author).size
        self._store.execute("DELETE FROM audit_head WHERE author = ?", (author,))
        self._audit.note("witness", "accepted", subject=author, number=size)
        return True


class Pace:
    """When to send the newest head of which log to whom: at once, then every `SEND_EVERY` beats while there is more."""

    def __init__(self) -> None:
        self._sent: dict[tuple[bytes, bytes], int] = {}

    def due(self, peer: bytes, author: bytes, beat: int) -> bool:
        """Whether it is time; if so it counts as sent."""
        last = self._sent.get((peer, author))
        if last is not None and 0 <= beat - last < SEND_EVERY:
            return False
        self._sent[peer, author] = beat
        return True

    def forget(self, peer: bytes) -> None:
        """A session began or ended: the next one is due at once."""
        self._sent = {key: beat for key, beat in self._sent.items() if key[0] != peer}


__all__ = ["SEND_EVERY", "Pace", "Remembered", "Witness", "remembered"]
