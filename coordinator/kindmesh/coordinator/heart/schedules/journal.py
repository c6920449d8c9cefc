"""Schedules on the disk: one row each, and one for each firing.

A firing's key is (schedule, due instant): a second one cannot be written. What a schedule does, is called and says is
sealed under a key of its own, which `remove` deletes; who made it, its state and the times are in the clear, as with
jobs. History is bounded: of the firings that started the newest `STARTED_KEPT` are kept, of the misses `MISSES_KEPT`;
`pruned_ms` is the newest due instant of a start that was dropped, and nothing at or before it is ever due again,
whatever the clock says.
"""

from __future__ import annotations

import logging
from typing import Any, Final

import msgspec

from kindmesh.coordinator.heart.schedules import machine_words as w
from kindmesh.coordinator.heart.schedules.words import Schedule
from kindmesh.mesh.store import Store
from kindmesh.mesh.vault import RunVault
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.errors import BadSeal, Forgotten, Malformed
from kindmesh.protocol.principal import principal_text

log = logging.getLogger("kindmesh.coordinator.schedules")

STARTED_KEPT: Final = 500
MISSES_KEPT: Final = 200
OPEN: Final[tuple[w.Phase, ...]] = ("waiting", "starting", "started")
_MISSED: Final = "missed"
_ANY: Final = 1024**2
_SCHEDULE, _WHY, _WATCHED = b"schedule", b"why", b"watched"

_BEGIN: Final = (
    "INSERT INTO firing (schedule_id, due_ms, state, decided_ms, late_ms, why) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (schedule_id, due_ms) DO UPDATE SET state = excluded.state, decided_ms = excluded.decided_ms,"
    " late_ms = excluded.late_ms, why = excluded.why, reason = '', count = 1, more = 0, first_ms = 0"
    " WHERE firing.state IN ('waiting', 'missed')"
)
_MISS: Final = (
    "INSERT INTO firing (schedule_id, due_ms, state, decided_ms, reason, first_ms, count, more, why)"
    " VALUES (?, ?, 'missed', ?, ?, ?, ?, ?, ?) ON CONFLICT (schedule_id, due_ms) DO UPDATE SET state = 'missed',"
    " reason = excluded.reason, why = excluded.why, decided_ms = excluded.decided_ms"
    " WHERE firing.state = 'waiting'"
)
_PRUNE: Final = (
    "DELETE FROM firing WHERE schedule_id = ? AND due_ms IN (SELECT due_ms FROM firing WHERE schedule_id = ? AND state"
    " {which} ORDER BY due_ms DESC LIMIT -1 OFFSET ?) RETURNING due_ms"
)
_STARTED: Final = _PRUNE.format(which="NOT IN ('missed', 'waiting', 'starting', 'started')")
_MISSES: Final = _PRUNE.format(which="= 'missed'")
_FIRING: Final = (
    "SELECT due_ms, state, decided_ms, late_ms, ref, ended_ms, reason, first_ms, count, more, why FROM firing"
    " WHERE schedule_id = ?"
)


class Row(msgspec.Struct, frozen=True):
    """A schedule as the journal has it; `watched`: what its trigger has seen, encoded, or empty."""

    schedule: Schedule
    state: w.State
    why: str
    cursor_ms: int
    pruned_ms: int
    watched: bytes


class Firing(msgspec.Struct, frozen=True):
    """One firing; a miss may stand for `count` of them, from `first_ms` to `due_ms` (`more`: and others before).
    `ended_ms` 0: not yet; `ref`: what was started (16 bytes), or empty."""

    due_ms: int
    state: str
    decided_ms: int
    late_ms: int
    ref: bytes
    ended_ms: int
    reason: str
    first_ms: int
    count: int
    more: bool
    why: str


class ScheduleJournal:
    """See the module. Every write joins the store's turn."""

    def __init__(self, store: Store, vault: RunVault) -> None:
        self.store = store
        self.unreadable = 0
        """Schedules that `all` could not read the last time."""
        self._vault = vault

    def add(self, schedule: Schedule, cursor_ms: int) -> None:
        """A new schedule.

        Raises:
            DiskFull, StoreError: nothing was written.
        """
        id_ = schedule.schedule_id
        sealed = self._vault.seal(id_, encode(schedule), _SCHEDULE)
        values = (
            id_,
            principal_text(schedule.maker),
            "active",
            cursor_ms,
            sealed,
            self._vault.seal(id_, b"", _WHY),
        )
        self.store.execute(
            "INSERT INTO schedule (schedule_id, principal, state, cursor_ms, sealed, why) VALUES (?, ?, ?, ?, ?, ?)",
            values,
        )

    def all(self) -> list[Row]:
        """All schedules that can be read, oldest first; others are counted as `unreadable` and named in the log.

        Raises:
            StoreDamaged, StoreError.
        """
        rows = self.store.query(
            "SELECT schedule_id, state, cursor_ms, pruned_ms, sealed, why, watched FROM schedule ORDER BY schedule_id"
        )
        found = []
        for row in rows:
            try:
                found.append(self._row(*row))
            except (BadSeal, Forgotten, Malformed) as error:
                log.error("a schedule cannot be read", extra={"code": error.code, "schedule": row[0].hex()})
        self.unreadable = len(rows) - len(found)
        return found

    def _row(
        self,
        id_: bytes,
        state: w.State,
        cursor_ms: int,
        pruned_ms: int,
        *sealed: bytes | None,
    ) -> Row:
        schedule, why, watched = sealed
        words = decode(Schedule, self._vault.unseal(id_, schedule or b"", _SCHEDULE), limit=_ANY)
        seen = b"" if watched is None else self._vault.unseal(id_, watched, _WATCHED)
        return Row(words, state, self._said(id_, why or b""), cursor_ms, pruned_ms, seen)

    def keep(self, id_: bytes, state: w.State, why: str, cursor_ms: int) -> None:
        """How a schedule stands."""
        values = (state, self._vault.seal(id_, why.encode(), _WHY), cursor_ms, id_)
        self.store.execute(
            "UPDATE schedule SET state = ?, why = ?, cursor_ms = ? WHERE schedule_id = ?", values
        )

    def watch(self, id_: bytes, watched: bytes) -> None:
        """What its trigger has seen."""
        sealed = self._vault.seal(id_, watched, _WATCHED)
        self.store.execute("UPDATE schedule SET watched = ? WHERE schedule_id = ?", (sealed, id_))

    def remove(self, id_: bytes) -> None:
        """Forget a schedule, its history, and the key of both."""
        self.store.execute("DELETE FROM firing WHERE schedule_id = ?", (id_,))
        self.store.execute("DELETE FROM schedule WHERE schedule_id = ?", (id_,))
        self._vault.forget(id_)

    # ----------------------------------------------------------------------------------------------- firings

    def begin(
        self, id_: bytes, due_ms: int, state: w.Phase, now_ms: int, *, late_ms: int = 0, why: str = ""
    ) -> bool:
        """A firing is started, or waits; False if it was started before: then nothing may be started now."""
        values = (id_, due_ms, state, now_ms, late_ms, self._vault.seal(id_, why.encode(), _WHY))
        return self.store.execute(_BEGIN, values) > 0

    def started(self, id_: bytes, due_ms: int, ref: bytes) -> None:
        """It is under way."""
        self.store.execute(
            "UPDATE firing SET state = 'started', ref = ? WHERE schedule_id = ? AND due_ms = ?",
            (ref, id_, due_ms),
        )

    def close(self, id_: bytes, due_ms: int, outcome: str, why: str, now_ms: int) -> int:
        """It has ended; old ones are dropped. Returns the newest due instant that was dropped, or 0."""
        values: tuple[Any, ...] = (outcome, now_ms, id_, due_ms)
        self.store.execute(
            "UPDATE firing SET state = ?, ended_ms = ? WHERE schedule_id = ? AND due_ms = ?", values
        )
        if why:
            values = (self._vault.seal(id_, why.encode(), _WHY), id_, due_ms)
            self.store.execute("UPDATE firing SET why = ? WHERE schedule_id = ? AND due_ms = ?", values)
        dropped = self.store.execute_returning(_STARTED, (id_, id_, STARTED_KEPT))
        newest = max((row[0] for row in dropped), default=0)
        if newest:
            self.store.execute(
                "UPDATE schedule SET pruned_ms = max(pruned_ms, ?) WHERE schedule_id = ?", (newest, id_)
            )
        return newest

    def miss(self, id_: bytes, missed: w.Miss, now_ms: int) -> None:
        """Nothing was started."""
        sealed = self._vault.seal(id_, missed.why.encode(), _WHY)
        values = (
            id_, missed.due_ms, now_ms, missed.reason, missed.first_ms, missed.count, missed.more, sealed,
        )  # fmt: skip
        self.store.execute(_MISS, values)
        self.store.execute_returning(_MISSES, (id_, id_, MISSES_KEPT))

    def retract(self, id_: bytes, after_ms: int) -> None:
        """Forget misses of times that are yet to come."""
        self.store.execute(
            "DELETE FROM firing WHERE schedule_id = ? AND state = ? AND due_ms > ?", (id_, _MISSED, after_ms)
        )

    def taken(self, id_: bytes, after_ms: int) -> tuple[int, ...]:
        """Due instants later than that for which something was started, or waits."""
        rows = self.store.query(
            "SELECT due_ms FROM firing WHERE schedule_id = ? AND due_ms > ? AND state != ? ORDER BY due_ms",
            (id_, after_ms, _MISSED),
        )
        return tuple(due_ms for (due_ms,) in rows)

    def is_free(self, id_: bytes, due_ms: int) -> bool:
        """Whether no firing has that name."""
        sql = "SELECT 1 FROM firing WHERE schedule_id = ? AND due_ms = ?"
        return self.store.query_one(sql, (id_, due_ms)) is None

    def open(self, id_: bytes) -> list[Firing]:
        """Those that have not ended, oldest first."""
        sql = f"{_FIRING} AND state IN ('waiting', 'starting', 'started') ORDER BY due_ms"
        return [self._firing(id_, row) for row in self.store.query(sql, (id_,))]

    def history(self, id_: bytes, limit: int, *, misses: bool = False) -> list[Firing]:
        """The newest first; only the misses, if that is wanted."""
        sql = f"{_FIRING}{' AND state = ?' if misses else ''} ORDER BY due_ms DESC LIMIT ?"
        values = (id_, _MISSED, limit) if misses else (id_, limit)
        return [self._firing(id_, row) for row in self.store.query(sql, values)]

    def missed(self, id_: bytes) -> int:
        """How many misses are kept, each line counted for what it stands for."""
        sql = "SELECT coalesce(sum(count), 0) FROM firing WHERE schedule_id = ? AND state = ?"
        found = self.store.query_one(sql, (id_, _MISSED))
        return found[0] if found else 0

    def _firing(self, id_: bytes, row: tuple[Any, ...]) -> Firing:
        due_ms, state, decided_ms, late_ms, ref, ended_ms, reason, first_ms, count, more, why = row
        said = self._said(id_, why)
        return Firing(
            due_ms, state, decided_ms, late_ms, ref, ended_ms, reason, first_ms, count, bool(more), said
        )

    def _said(self, id_: bytes, sealed: bytes) -> str:
        return self._vault.unseal(id_, sealed, _WHY).decode()


__all__ = ["MISSES_KEPT", "OPEN", "STARTED_KEPT", "Firing", "Row", "ScheduleJournal"]
