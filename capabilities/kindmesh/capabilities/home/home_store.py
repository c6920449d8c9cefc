"""A home on disk: one row for each entity, the inventory it came from, the home before the last load, and what changed.

Everything that one call changes is written in one turn of the store, history included, so `kill -9` leaves all of it
or nothing. History is bounded by count and by age.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from kindmesh.capabilities.home.inventory import entity_row, home_to_document
from kindmesh.capabilities.home.model import Area, Change, Entity, Floor, Home
from kindmesh.mesh.store import Store
from kindmesh.mesh.store_schema import Migration, Schema
from kindmesh.protocol.errors import StoreDamaged

HISTORY_MAX: Final = 20_000
HISTORY_DAYS: Final = 30
SCHEMA: Final = Schema(
    "home",
    1,
    (
        Migration(
            1,
            (
                "CREATE TABLE entity (place INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, row TEXT NOT NULL)",
                "CREATE TABLE document (name TEXT PRIMARY KEY, text TEXT NOT NULL, at_ms INTEGER NOT NULL)"
                " WITHOUT ROWID",
                "CREATE TABLE change (seq INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL,"
                " entity TEXT NOT NULL, row TEXT NOT NULL)",
                "CREATE INDEX change_entity ON change (entity, seq)",
            ),
        ),
    ),
)
_FILE: Final = "file"
_PLACES: Final = "places"
_BEFORE_FILE: Final = "before_file"
_BEFORE_HOME: Final = "before_home"
_EMPTY: Final = Home()


class _Document(msgspec.Struct):
    floors: tuple[Floor, ...] = ()
    areas: tuple[Area, ...] = ()
    entities: tuple[Entity, ...] = ()


class Kept(NamedTuple):
    """What was loaded: the inventory, and when."""

    file: Home
    loaded_ms: int


class HomeStore:
    """See the module; reads and writes join the store's turn."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @classmethod
    def open(cls, folder: Path) -> HomeStore:
        """Open `home.db` in `folder`, made if needed.

        Raises:
            StoreTooNew, StoreDamaged, DiskFull, StoreError.
        """
        return cls(Store.open(folder / "home.db", SCHEMA))

    def home(self) -> Home:
        """The home as it was last written.

        Raises:
            StoreDamaged: it cannot be read.
        """
        rows = self.store.query("SELECT row FROM entity ORDER BY place")
        places = self._document(_PLACES)[0]
        try:
            found = [msgspec.json.decode(row[0], type=Entity) for row in rows]
        except msgspec.MsgspecError as error:
            raise StoreDamaged(f"the home on this device cannot be read: {error}") from error
        return Home(places.floors, places.areas, {one.id: one for one in found})

    def kept(self) -> Kept:
        """The inventory that the home came from."""
        return Kept(*self._document(_FILE))

    def before(self) -> tuple[Home, Home] | None:
        """The inventory and the home before the last load, or None."""
        file, home = self._document(_BEFORE_FILE), self._document(_BEFORE_HOME)
        return (file[0], home[0]) if file[1] else None

    def write(self, before: Home, after: Home, changes: Sequence[Change], why: str, now_ms: int) -> None:
        """What became of `before`, and the changes as history.

        Raises:
            DiskFull, StoreError: nothing of it is written.
        """
        fresh = [one for name, one in after.entities.items() if before.entities.get(name) is not one]
        with self.store.atomic():
            self.store.executemany(
                "INSERT INTO entity (id, row) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET row = excluded.row",
                [(one.id, _text(entity_row(one))) for one in fresh],
            )
            self._note(changes, why, now_ms)

    def load(self, file: Home, home: Home, before: tuple[Home, Home], now_ms: int) -> None:
        """Another inventory and what the home is with it; `before` is (inventory, home) to go back to.

        Raises:
            DiskFull, StoreError: nothing of it is written.
        """
        with self.store.atomic():
            self.store.execute("DELETE FROM entity")
            self.store.executemany(
                "INSERT INTO entity (id, row) VALUES (?, ?)",
                [(one.id, _text(entity_row(one))) for one in home.entities.values()],
            )
            self._keep(_PLACES, Home(home.floors, home.areas), now_ms)
            self._keep(_FILE, file, now_ms)
            self._keep(_BEFORE_FILE, before[0], now_ms)
            self._keep(_BEFORE_HOME, before[1], now_ms)

    def history(self, entity: str, since_ms: int, count: int) -> list[dict[str, Any]]:
        """Up to `count` changes from `since_ms` on, the latest first; of one entity, or of all with an empty name."""
        where, params = ("entity = ? AND", [entity]) if entity else ("", [])
        rows = self.store.query(
            f"SELECT row FROM change WHERE {where} at_ms >= ? ORDER BY seq DESC LIMIT ?",  # noqa: S608 - two constants
            [*params, since_ms, count],
        )
        return [msgspec.json.decode(row[0]) for row in rows]

    def _note(self, changes: Sequence[Change], why: str, now_ms: int) -> None:
        if not changes:
            return
        self.store.executemany(
            "INSERT INTO change (at_ms, entity, row) VALUES (?, ?, ?)",
            [
                (now_ms, one.entity, _text({"at_ms": now_ms, **msgspec.to_builtins(one), "why": why}))
                for one in changes
            ],
        )
        self.store.execute(
            "DELETE FROM change WHERE seq <= (SELECT max(seq) FROM change) - ? OR at_ms < ?",
            (HISTORY_MAX, now_ms - HISTORY_DAYS * 86_400_000),
        )

    def _keep(self, name: str, home: Home, now_ms: int) -> None:
        self.store.execute(
            "INSERT OR REPLACE INTO document (name, text, at_ms) VALUES (?, ?, ?)",
            (name, _text(home_to_document(home)), now_ms),
        )

    def _document(self, name: str) -> tuple[Home, int]:
        row = self.store.query_one("SELECT text, at_ms FROM document WHERE name = ?", (name,))
        if row is None:
            return _EMPTY, 0
        try:
            found = msgspec.json.decode(row[0], type=_Document)
        except msgspec.MsgspecError as error:
            raise StoreDamaged(f"the inventory on this device cannot be read: {error}") from error
        floors, areas = {one.id: one for one in found.floors}, {one.id: one for one in found.areas}
        return Home(floors, areas, {one.id: one for one in found.entities}), int(row[1])


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


__all__ = ["HISTORY_DAYS", "HISTORY_MAX", "HomeStore", "Kept"]
