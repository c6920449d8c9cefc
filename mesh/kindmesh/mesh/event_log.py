"""Durable events on a device's disk, and how far each of their followers is.

One log for both directions: on a node it holds what happened there until the coordinator took it, and what it follows
until its own subscribers had it; on the coordinator everything durable until each follower had it. A *follower* has a
name, patterns, and a place in the log (`seq`): what lies behind it was taken. A new one begins at the end. An event is
in a log once (by its id), so what is sent twice is taken once. Events are sealed with the folder's key: their data may
be personal; topic, source and time are not.

Forgotten is what is older than `KEEP_DAYS` and was taken by all; what a follower never fetched goes after `LOST_DAYS`,
or when the log has `ROWS_MAX` rows, and is counted (`lost`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kindmesh.mesh.clock import Entropy
from kindmesh.mesh.store import Store
from kindmesh.protocol.crypto import NONCE, seal, unseal
from kindmesh.protocol.errors import BadSeal, StoreDamaged
from kindmesh.protocol.ids import RANDOM_BYTES, new_id
from kindmesh.protocol.messages.events import MeshEvent, event_from_bytes, fits
from kindmesh.protocol.signed import Signed, signed_from_bytes, signed_to_bytes

log = logging.getLogger("kindmesh.mesh.event_log")

EVENT_TABLES: Final = (
    "CREATE TABLE event (seq INTEGER PRIMARY KEY AUTOINCREMENT, event_id BLOB NOT NULL UNIQUE, topic TEXT NOT NULL,"
    " source BLOB NOT NULL, at_ms INTEGER NOT NULL, sealed BLOB NOT NULL)",
    "CREATE TABLE event_follower (follower TEXT PRIMARY KEY, patterns TEXT NOT NULL, seq INTEGER NOT NULL)"
    " WITHOUT ROWID",
)
"""Statements for a migration of a store that has an event log."""
KEEP_DAYS: Final = 7
LOST_DAYS: Final = 30
ROWS_MAX: Final = 100_000
PAGE: Final = 256
DAY_MS: Final = 86_400_000
_LABEL: Final = b"kindmesh-event-log-v1\0"


@dataclass(frozen=True, slots=True)
class Row:
    """One event in the log; `event` is what `signed` holds, whose signature was checked when it was written."""

    seq: int
    signed: Signed
    event: MeshEvent


class EventLog:
    """See the module; `store` has `EVENT_TABLES`, `key` has 32 bytes. Every write joins the store's turn."""

    def __init__(self, store: Store, key: bytes, entropy: Entropy) -> None:
        self.store = store
        self.lost = 0
        self._key, self._entropy = key, entropy

    def append(self, signed: Signed, event: MeshEvent) -> bool:
        """Write an event; False when it was there already.

        Raises:
            DiskFull, StoreError.
        """
        nonce = self._entropy.token(NONCE)
        sealed = nonce + seal(self._key, nonce, signed_to_bytes(signed), _LABEL + event.event_id)
        return (
            self.store.execute(
                "INSERT OR IGNORE INTO event (event_id, topic, source, at_ms, sealed) VALUES (?, ?, ?, ?, ?)",
                (event.event_id, event.topic, event.source, event.at_ms, sealed),
            )
            > 0
        )

    def has(self, event_id: bytes) -> bool:
        """Whether it is in the log."""
        return self.store.query_one("SELECT 1 FROM event WHERE event_id = ?", (event_id,)) is not None

    def end(self) -> int:
        """The last place in the log."""
        row = self.store.query_one("SELECT seq FROM sqlite_sequence WHERE name = 'event'")
        return 0 if row is None else int(row[0])

    def after(self, seq: int, limit: int) -> list[Row]:
        """Up to `limit` events behind that place, in order.

        Raises:
            StoreDamaged: one does not open with this folder's key.
        """
        rows = self.store.query(
            "SELECT seq, event_id, sealed FROM event WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit)
        )
        return [self._open(int(row[0]), bytes(row[1]), bytes(row[2])) for row in rows]

    def since(self, at_ms: int, patterns: Sequence[str], limit: int) -> list[MeshEvent]:
        """The last `limit` events from that time on that fit one of the patterns, oldest first. Raises as `after`."""
        rows = self.store.query("SELECT seq, topic FROM event WHERE at_ms >= ? ORDER BY seq DESC", (at_ms,))
        fitting = [row[0] for row in rows if any(fits(pattern, row[1]) for pattern in patterns)][:limit]
        found = []
        for seq in reversed(fitting):
            found += [row.event for row in self.after(seq - 1, 1)]
        return found

    def past(self, at_ms: int, pattern: str) -> Iterator[MeshEvent]:
        """All events from that time on (as their source had it) that fit, the oldest first, read as they are asked for.

        Raises:
            StoreDamaged: as `after`.
        """
        # Event ids begin with their time, so this reads no more of a long log than it has to.
        last = new_id(max(at_ms, 0), bytes(RANDOM_BYTES))
        while rows := self.store.query(
            "SELECT event_id, topic FROM event WHERE event_id > ? ORDER BY event_id LIMIT ?", (last, PAGE)
        ):
            for event_id, topic in rows:
                last = bytes(event_id)
                if fits(pattern, topic) and (row := self._with_id(last)) is not None:
                    yield row.event

    def _with_id(self, event_id: bytes) -> Row | None:
        found = self.store.query_one("SELECT seq, sealed FROM event WHERE event_id = ?", (event_id,))
        return None if found is None else self._open(int(found[0]), event_id, bytes(found[1]))

    def _open(self, seq: int, event_id: bytes, sealed: bytes) -> Row:
        try:
            plain = unseal(self._key, sealed[:NONCE], sealed[NONCE:], _LABEL + event_id)
        except BadSeal as error:
            raise StoreDamaged("An event does not open with this folder's key.") from error
        signed = signed_from_bytes(plain)
        return Row(seq, signed, event_from_bytes(signed.payload))

    # Followers.

    def follow(self, follower: str, patterns: tuple[str, ...]) -> int:
        """A follower, new at the end of the log or as it was, wants these from now on; returns its place."""
        self.store.execute(
            "INSERT INTO event_follower VALUES (?, ?, ?)"
            " ON CONFLICT (follower) DO UPDATE SET patterns = excluded.patterns",
            (follower, json.dumps(list(patterns)), self.end()),
        )
        row = self.store.query_one("SELECT seq FROM event_follower WHERE follower = ?", (follower,))
        return 0 if row is None else int(row[0])

    def followers(self) -> dict[str, tuple[tuple[str, ...], int]]:
        """Patterns and place of each."""
        rows = self.store.query("SELECT follower, patterns, seq FROM event_follower")
        return {row[0]: (tuple(json.loads(row[1])), int(row[2])) for row in rows}

    def move(self, follower: str, seq: int) -> None:
        """It took everything up to that place; never back."""
        self.store.execute(
            "UPDATE event_follower SET seq = ? WHERE follower = ? AND seq < ?", (seq, follower, seq)
        )

    def rewind(self, follower: str, seq: int) -> None:
        """It has to have what lies behind that place (again)."""
        self.store.execute("UPDATE event_follower SET seq = ? WHERE follower = ?", (seq, follower))

    def unfollow(self, follower: str) -> None:
        """It wants nothing any more."""
        self.store.execute("DELETE FROM event_follower WHERE follower = ?", (follower,))

    def forget(self, now_ms: int) -> None:
        """See the module.

        Raises:
            DiskFull, StoreError.
        """
        row = self.store.query_one("SELECT min(seq) FROM event_follower")
        taken = self.end() if row is None or row[0] is None else int(row[0])
        self.store.execute(
            "DELETE FROM event WHERE at_ms < ? AND seq <= ?", (now_ms - KEEP_DAYS * DAY_MS, taken)
        )
        lost = self.store.execute("DELETE FROM event WHERE at_ms < ?", (now_ms - LOST_DAYS * DAY_MS,))
        lost += self.store.execute(
            "DELETE FROM event WHERE seq <= ? AND seq > ?", (self.end() - ROWS_MAX, taken)
        )
        self.store.execute("DELETE FROM event WHERE seq <= ?", (self.end() - ROWS_MAX,))
        if lost:
            self.lost += lost
            log.warning("events that nobody fetched were forgotten", extra={"count": lost})


__all__ = ["EVENT_TABLES", "KEEP_DAYS", "LOST_DAYS", "ROWS_MAX", "EventLog", "Row"]
