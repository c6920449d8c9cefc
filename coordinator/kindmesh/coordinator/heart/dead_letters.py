"""What could not be delivered or read, kept in sight until somebody deals with it. Nothing is dropped silently.

    kind        what
    unknown     a device's result of a job that this coordinator does not know
    unreadable  a device's result, or its messages, that cannot be read
    refused     a job that no device can do, for reasons that do not pass by themselves
    alert       an alert that did not succeed while nobody was waiting for it

A letter is `open`, then `redelivered` or `dismissed` (by whom, with a note). The same letter again is counted, not kept
twice; one that was closed is opened again. At most `OPEN_MAX` letters and `BYTES_MAX` bytes are open; beyond that the
oldest make room, and how many of each kind did, and when last, is kept (`overflow`). Contents are sealed, each letter
with a key of its own.
"""

from __future__ import annotations

import logging
from typing import Any, Final, Literal

import msgspec

from kindmesh.mesh.audit import AuditLog
from kindmesh.mesh.clock import Clock, Entropy
from kindmesh.mesh.store import Store
from kindmesh.mesh.vault import RunVault
from kindmesh.protocol.errors import InvalidInput, KindmeshError
from kindmesh.protocol.ids import RANDOM_BYTES, new_id, time_id_range

log = logging.getLogger("kindmesh.coordinator.heart")

Kind = Literal["unknown", "unreadable", "refused", "alert"]
KINDS: Final[tuple[Kind, ...]] = ("unknown", "unreadable", "refused", "alert")
OPEN_MAX: Final = 500
BYTES_MAX: Final = 16 * 1024**2
CLOSED_MAX: Final = 200
DEAD_TABLES: Final = (
    "CREATE TABLE dead_letter (letter BLOB PRIMARY KEY, kind TEXT NOT NULL, device BLOB NOT NULL, job_id BLOB NOT NULL,"
    " code TEXT NOT NULL, what TEXT NOT NULL, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,"
    " times INTEGER NOT NULL, state TEXT NOT NULL, by TEXT NOT NULL, note TEXT NOT NULL, size INTEGER NOT NULL,"
    " sealed BLOB) WITHOUT ROWID",
    "CREATE UNIQUE INDEX dead_letter_same ON dead_letter (kind, device, job_id, code)",
    "CREATE TABLE dead_overflow (kind TEXT PRIMARY KEY, times INTEGER NOT NULL, last_ms INTEGER NOT NULL)"
    " WITHOUT ROWID",
)
_COLUMNS: Final = "letter, kind, device, job_id, code, what, first_ms, last_ms, times, state, by, note, size"
_PURPOSE: Final = b"dead letter"


class Letter(msgspec.Struct, frozen=True):
    """One letter, without its contents; `device` or `job_id` may be empty."""

    letter: bytes
    kind: Kind
    device: bytes
    job_id: bytes
    code: str
    what: str
    first_ms: int
    last_ms: int
    times: int
    state: Literal["open", "redelivered", "dismissed"]
    by: str
    note: str
    size: int


class DeadLetters:
    """See the module. Every write joins the store's turn."""

    def __init__(
        self, store: Store, vault: RunVault, clock: Clock, entropy: Entropy, audit: AuditLog | None
    ) -> None:
        self._store = store
        self._vault = vault
        self._clock = clock
        self._entropy = entropy
        self._audit = audit

    def add(
        self, kind: Kind, *, device: bytes = b"", job_id: bytes = b"", code: str = "", what: str = "",
        body: bytes = b"",
    ) -> None:  # fmt: skip
        """Keep a letter.

        Raises:
            DiskFull, StoreError: it is not kept, so whoever sent it must not be told that it was taken.
        """
        now_ms = self._clock.now_ms()
        with self._store.atomic():
            again = self._store.execute(
                "UPDATE dead_letter SET times = times + 1, last_ms = ?, state = 'open', by = '', note = '', what = ?"
                " WHERE kind = ? AND device = ? AND job_id = ? AND code = ?",
                (now_ms, what[:500], kind, device, job_id, code[:64]),
            )
            if again:
                self._make_room(now_ms)
                return
            letter = new_id(now_ms, self._entropy.token(RANDOM_BYTES))
            sealed = self._vault.seal(letter, body, _PURPOSE) if body else None
            self._store.execute(
                "INSERT INTO dead_letter VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, 'open', '', '', ?, ?)",
                (letter, kind, device, job_id, code[:64], what[:500], now_ms, now_ms, len(body), sealed),
            )
            self._make_room(now_ms)
        self._note("kept", kind, device, job_id, code)

    def try_add(self, kind: Kind, **what: Any) -> None:
        """As `add`, for those who can do nothing about a full disk; it is in the log then."""
        try:
            self.add(kind, **what)
        except KindmeshError as error:
            log.error("a dead letter was not kept", extra={"code": error.code, "kind": kind})

    def letters(self, limit: int = 100, *, everything: bool = False) -> list[Letter]:
        """The newest first; `everything`: also those that were dealt with."""
        where = "" if everything else "WHERE state = 'open'"
        sql = f"SELECT {_COLUMNS} FROM dead_letter {where} ORDER BY last_ms DESC, letter LIMIT ?"  # noqa: S608
        return [Letter(*row) for row in self._store.query(sql, (limit,))]

    def counts(self) -> dict[str, int]:
        """How many are open, by kind."""
        sql = "SELECT kind, count(*) FROM dead_letter WHERE state = 'open' GROUP BY kind ORDER BY kind"
        return {str(kind): int(count) for kind, count in self._store.query(sql)}

    def overflow(self) -> dict[str, tuple[int, int]]:
        """How many letters of each kind made room for newer ones, and when last (UTC ms)."""
        rows = self._store.query("SELECT kind, times, last_ms FROM dead_overflow ORDER BY kind")
        return {str(kind): (int(times), int(last_ms)) for kind, times, last_ms in rows}

    def find(self, text: str) -> Letter:
        """The letter whose id is, or begins with, `text`.

        Raises:
            InvalidInput: there is none, or there are several.
        """
        first, last = time_id_range(text)
        sql = f"SELECT {_COLUMNS} FROM dead_letter WHERE letter BETWEEN ? AND ? LIMIT 2"  # noqa: S608
        found = self._store.query(sql, (first, last))
        if len(found) != 1:
            how = "several letters begin so" if found else "there is no such letter"
            raise InvalidInput(how, field="id", hint="kindmesh jobs dead lists them.")
        return Letter(*found[0])

    def body(self, letter: Letter) -> bytes:
        """What is in it; empty when nothing could be kept.

        Raises:
            Forgotten, BadSeal.
        """
        row = self._store.query_one("SELECT sealed FROM dead_letter WHERE letter = ?", (letter.letter,))
        return b"" if row is None or row[0] is None else self._vault.unseal(letter.letter, row[0], _PURPOSE)

    def close(self, letter: Letter, state: Literal["redelivered", "dismissed"], by: str, note: str) -> None:
        """It was dealt with.

        Raises:
            InvalidInput: it was before. DiskFull, StoreError.
        """
        if letter.state != "open":
            raise InvalidInput(f"this letter was {letter.state} before, by {letter.by}", field="id")
        self._store.execute(
            "UPDATE dead_letter SET state = ?, by = ?, note = ?, last_ms = ? WHERE letter = ?",
            (state, by, note[:500], self._clock.now_ms(), letter.letter),
        )
        old = self._store.query(
            "SELECT letter FROM dead_letter WHERE state != 'open' ORDER BY last_ms DESC, letter LIMIT -1 OFFSET ?",
            (CLOSED_MAX,),
        )
        for (one,) in old:
            self._delete(bytes(one))
        self._note(state, letter.kind, letter.device, letter.job_id, letter.code)

    def _make_room(self, now_ms: int) -> None:
        kept = self._store.query(
            "SELECT letter, kind, size FROM dead_letter WHERE state = 'open' ORDER BY last_ms, letter"
        )
        number, size = len(kept), sum(row[2] for row in kept)
        for letter, kind, bytes_ in kept:
            if number <= OPEN_MAX and size <= BYTES_MAX:
                return
            number, size = number - 1, size - bytes_
            self._delete(bytes(letter))
            self._store.execute(
                "INSERT INTO dead_overflow VALUES (?, 1, ?) ON CONFLICT (kind) DO UPDATE SET times = times + 1,"
                " last_ms = excluded.last_ms",
                (kind, now_ms),
            )
            log.warning("a dead letter made room for a newer one", extra={"kind": kind})

    def _delete(self, letter: bytes) -> None:
        self._store.execute("DELETE FROM dead_letter WHERE letter = ?", (letter,))
        self._vault.forget(letter)

    def _note(self, answer: str, kind: str, device: bytes, job_id: bytes, code: str) -> None:
        if self._audit is not None:
            self._audit.note("dead letter", answer, target=device, job_id=job_id, operation=kind, code=code)


__all__ = ["BYTES_MAX", "CLOSED_MAX", "DEAD_TABLES", "KINDS", "OPEN_MAX", "DeadLetters", "Kind", "Letter"]
