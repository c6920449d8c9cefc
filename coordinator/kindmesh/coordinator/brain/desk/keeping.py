"""What the desk remembers, on the disk: bounded notes of a few kinds, each sealed under a key of its owner.

    turn      what was said lately in a conversation           the newest `TURNS_KEPT`
    ask       a sentence that was taken, with its plan         the newest `ASKS_KEPT`, so that asking again is the same
    feedback  good, or not what was meant, with the sentence   the newest `FEEDBACK_KEPT`
    routine   a sentence and the plan that it stands for       at most `ROUTINES_KEPT`; a further one is refused
    choice    what a person chose, such as a persona; of the mesh: where the second reviewer is
    home      a home as a device last told it                  the newest `HOMES_KEPT`

An owner is a text (a principal, with a device and a conversation where that matters); the journal has its hash only.
`forget` deletes the notes and the key that opens them. Nothing here decides what a note means.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from kindmesh.mesh.store import Store
from kindmesh.mesh.vault import RunVault
from kindmesh.protocol.crypto import sha256
from kindmesh.protocol.errors import BackPressure, BadSeal, Forgotten

NoteKind = Literal["turn", "ask", "feedback", "routine", "choice", "home"]
TURNS_KEPT: Final = 8
ASKS_KEPT: Final = 64
FEEDBACK_KEPT: Final = 200
ROUTINES_KEPT: Final = 200
HOMES_KEPT: Final = 16
KEPT: Final[Mapping[NoteKind, int]] = {
    "turn": TURNS_KEPT, "ask": ASKS_KEPT, "feedback": FEEDBACK_KEPT, "routine": ROUTINES_KEPT, "choice": 16,
    "home": HOMES_KEPT,
}  # fmt: skip
NOTE_MAX: Final = 1024 * 1024
"""Bytes of one note."""
_PUT: Final = (
    "INSERT INTO desk_note VALUES (?, ?, ?, ?, ?) ON CONFLICT (kind, owner, note) DO UPDATE SET"
    " at_ms = excluded.at_ms, sealed = excluded.sealed"
)
_TRIM: Final = (
    "DELETE FROM desk_note WHERE kind = ? AND owner = ? AND note IN (SELECT note FROM desk_note WHERE kind = ? AND"
    " owner = ? ORDER BY at_ms DESC, note DESC LIMIT -1 OFFSET ?)"
)


class Note(NamedTuple):
    """One note: its id, when it was written (UTC ms), what it says."""

    note: bytes
    at_ms: int
    data: bytes


class Keeping:
    """See the module. `store` has `DESK_TABLES`; every write joins the store's turn."""

    def __init__(self, store: Store, vault: RunVault) -> None:
        self.store = store
        self._vault = vault

    def put(self, kind: NoteKind, owner: str, note: bytes, data: bytes, at_ms: int) -> None:
        """Write a note, in place of one of the same id; the oldest of its kind make room, except for routines.

        Raises:
            BackPressure: it is too long, or there are too many routines. DiskFull, StoreError.
        """
        if len(data) > NOTE_MAX:
            raise BackPressure(f"a note has at most {NOTE_MAX} bytes", hint="Ask for less at once.")
        whose, most = _hash(owner), KEPT[kind]
        if kind == "routine" and self._count(kind, whose, note) >= most:
            raise BackPressure(
                f"{most} routines are kept", hint="Forget some: kindmesh ask routines forget ID."
            )
        sealed = self._vault.seal(_key(kind, whose), data, note)
        self.store.execute(_PUT, (kind, whose, note, at_ms, sealed))
        self.store.execute(_TRIM, (kind, whose, kind, whose, most))

    def _count(self, kind: NoteKind, whose: bytes, beside: bytes) -> int:
        sql = "SELECT count(*) FROM desk_note WHERE kind = ? AND owner = ? AND note != ?"
        row = self.store.query_one(sql, (kind, whose, beside))
        return 0 if row is None else int(row[0])

    def get(self, kind: NoteKind, owner: str, note: bytes) -> bytes | None:
        """What a note says; None when there is none, or when it cannot be opened any more.

        Raises:
            StoreDamaged, StoreError.
        """
        whose = _hash(owner)
        sql = "SELECT sealed FROM desk_note WHERE kind = ? AND owner = ? AND note = ?"
        row = self.store.query_one(sql, (kind, whose, note))
        return None if row is None else self._opened(kind, whose, note, row[0])

    def all(self, kind: NoteKind, owner: str) -> list[Note]:
        """All notes of a kind that can be opened, the oldest first.

        Raises:
            StoreDamaged, StoreError.
        """
        whose = _hash(owner)
        sql = "SELECT note, at_ms, sealed FROM desk_note WHERE kind = ? AND owner = ? ORDER BY at_ms, note"
        found = []
        for note, at_ms, sealed in self.store.query(sql, (kind, whose)):
            data = self._opened(kind, whose, note, sealed)
            if data is not None:
                found.append(Note(note, at_ms, data))
        return found

    def _opened(self, kind: NoteKind, whose: bytes, note: bytes, sealed: bytes) -> bytes | None:
        try:
            return self._vault.unseal(_key(kind, whose), sealed, note)
        except (Forgotten, BadSeal):
            # It was forgotten, or it is no note of ours: nothing is remembered.
            return None

    def remove(self, kind: NoteKind, owner: str, note: bytes) -> bool:
        """Take a note away; False: there was none."""
        sql = "DELETE FROM desk_note WHERE kind = ? AND owner = ? AND note = ?"
        return self.store.execute(sql, (kind, _hash(owner), note)) > 0

    def forget(self, kind: NoteKind, owner: str) -> int:
        """Delete all notes of a kind, and the key that opens them; how many there were."""
        whose = _hash(owner)
        count = self.store.execute("DELETE FROM desk_note WHERE kind = ? AND owner = ?", (kind, whose))
        self._vault.forget(_key(kind, whose))
        return count


def _hash(owner: str) -> bytes:
    return sha256(b"kindmesh-desk-owner\0" + owner.encode())[:16]


def _key(kind: NoteKind, whose: bytes) -> bytes:
    """The id under which the vault keeps the key of an owner's notes of a kind."""
    return sha256(b"kindmesh-desk-key\0" + kind.encode() + b"\0" + whose)[:16]


__all__ = [
    "ASKS_KEPT",
    "FEEDBACK_KEPT",
    "HOMES_KEPT",
    "KEPT",
    "ROUTINES_KEPT",
    "TURNS_KEPT",
    "Keeping",
    "Note",
    "NoteKind",
]
