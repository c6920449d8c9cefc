"""A journal on disk, kept by SQLite, that commits once per turn of the event loop.

*Commits.* `execute` joins this turn's transaction (see `turns.py`); `committed()` is safe from `kill -9`, `durable()`
also from a power cut, for the reasons in `durability.py`. A smaller all-or-nothing unit is `atomic()`, a savepoint.

*One writer.* One process (see `Home.lock`) and in it one connection writes and checkpoints, in the loop's own thread.
That also keeps clear of SQLite's WAL-reset bug (sqlite.org/wal.html#walresetbug; 3.7.0 to 3.51.2), which needs two
connections that write or checkpoint at once. The price: a checkpoint every thousand pages stops the loop for some
milliseconds. `Store.open_readonly` reads beside the writer, from any process.

*Size.* Pages that were freed are used again; `shrink` gives some of them back to the disk, a few at a time (SQLite's
incremental vacuum), so that nothing ever waits for a whole file to be written anew. Older stores learn that when they
are migrated, if they are small enough to be written anew at that moment.

*Schema.* `application_id` says whose store it is, `user_version` how old: older is migrated forward, one transaction
per step, after a backup `<db>.v<old>.backup` (kept for 30 days); newer is refused. How: `sqlite_file.py`.
`secure_delete` overwrites what is deleted.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from kindmesh.mesh.durability import LogSync, Where, again
from kindmesh.mesh.files import private_folder, sync_folder
from kindmesh.mesh.sqlite_file import (
    INCREMENTAL,
    Parameters,
    admit,
    amend_copy,
    copy_to,
    ends_turn,
    make_ready,
    opening,
    pragma,
    typed,
)
from kindmesh.mesh.store_schema import (
    Migration,
    Schema,
    StoreStatistics,
    backups,
    damaged,
    file_identity,
    first_problem,
    prepare,
    size,
)
from kindmesh.mesh.turns import Turns
from kindmesh.protocol.errors import KindmeshError, StoreError

Row: TypeAlias = tuple[Any, ...]

_open_here: set[tuple[int, int]] = set()


class Store(Turns):
    """An open store. Use it from the thread that opened it."""

    def __init__(self, path: Path, connection: sqlite3.Connection, log: LogSync | None) -> None:
        """Not for callers: use `open` or `open_readonly`."""
        super().__init__()
        self.path = path
        self._connection: sqlite3.Connection | None = connection
        self._cursor = connection.cursor()
        self._log = log
        self._identity = file_identity(path)

    @classmethod
    def open(cls, path: Path, schema: Schema, *, sync: Where = "auto") -> Store:
        """Open `path` for writing, making or migrating it as needed; the file is 0600, its folder 0700.

        `sync`: where `durable()` waits for the disk; "inline" is for loops without threads (virtual time), "thread"
        never blocks the loop, "auto" uses a thread only for a disk that is slow.

        Raises:
            StoreTooNew: written by a later version.
            StoreDamaged: not a store of this schema, or broken.
            DiskFull, StoreError: cannot be opened or migrated; the file is as it was.
        """
        private_folder(path.parent)
        prepare(path)
        if file_identity(path) in _open_here:
            raise StoreError(f"{path} is already open in this process.")
        with opening(path) as connection:
            make_ready(connection, path, schema)
            log = LogSync(f"{path}-wal", sync)
            sync_folder(path.parent)
            log.now()
        store = cls(path, connection, log)
        _open_here.add(store._identity)
        return store

    @classmethod
    def open_readonly(cls, path: Path, schema: Schema) -> Store:
        """Open another process's store to look at it: `query` and `query_one` only.

        Raises:
            StoreTooNew, StoreDamaged, StoreError: as `open`; also when it does not exist or is older than `schema`.
        """
        if not path.is_file():
            raise StoreError(f"There is no store at {path}.")
        with opening(path, readonly=True) as connection:
            version = admit(connection, path, schema)
            if version != schema.version:
                raise StoreError(f"{path} has version {version}, this program reads {schema.version}.")
        return cls(path, connection, None)

    def execute(self, sql: str, params: Parameters = ()) -> int:
        """Run one writing statement in this turn's transaction; returns the number of rows changed.

        Raises:
            StoreConflict: a uniqueness or other constraint forbids it; only this statement is undone.
            DiskFull, StoreDamaged, StoreError: the whole turn is rolled back.
        """
        if not self._writing or self._scheduled_on is None:
            self.join()
        try:
            return self._cursor.execute(sql, params).rowcount
        except sqlite3.Error as error:
            raise self._statement_failed(error) from error

    def executemany(self, sql: str, rows: Iterable[Parameters]) -> int:
        """Run one writing statement for each of `rows`; errors as `execute`, which undo all rows of this call."""
        with self.atomic():
            try:
                return self._cursor.executemany(sql, rows).rowcount
            except sqlite3.Error as error:
                raise self._statement_failed(error) from error

    def execute_returning(self, sql: str, params: Parameters = ()) -> list[Row]:
        """Run a writing statement with a RETURNING clause; errors as `execute`."""
        if not self._writing or self._scheduled_on is None:
            self.join()
        try:
            return self._cursor.execute(sql, params).fetchall()
        except sqlite3.Error as error:
            raise self._statement_failed(error) from error

    def query(self, sql: str, params: Parameters = ()) -> list[Row]:
        """All rows of a reading statement; sees what this turn wrote and has not committed yet."""
        try:
            return self._live().execute(sql, params).fetchall()
        except sqlite3.Error as error:
            raise typed(error, self.path) from error

    def query_one(self, sql: str, params: Parameters = ()) -> Row | None:
        """The first row of a reading statement, or None."""
        try:
            row: Row | None = self._live().execute(sql, params).fetchone()
        except sqlite3.Error as error:
            raise typed(error, self.path) from error
        return row

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """All statements inside, or none of them: an exception undoes them and goes on. Never await inside."""
        if not self._writing or self._scheduled_on is None:
            self.join()
        name = f"s{self._depth}"
        self._run(f"SAVEPOINT {name}")
        self._depth += 1
        try:
            yield
        except BaseException:
            if self._writing:
                self._run(f"ROLLBACK TO {name}")
            raise
        finally:
            self._depth -= 1
            if self._writing:
                self._run(f"RELEASE {name}")

    def check(self) -> None:
        """Read the whole file and verify its structure. Raises StoreDamaged, which says what is wrong first."""
        problem = first_problem(self.query)
        if problem:
            raise damaged(self.path, problem)

    def scrub(self) -> bool:
        """Commit, move the log into the database and empty it, so that what was deleted is gone from both.

        False when a reader kept it from finishing. Raises as `commit_now`.
        """
        self.commit_now()
        return self.query_one("PRAGMA wal_checkpoint(TRUNCATE)") == (0, 0, 0)

    def free_pages(self) -> tuple[int, int]:
        """(pages that are not used, all pages); 0 free ones where the store cannot shrink."""
        if pragma(self._live(), "auto_vacuum") != INCREMENTAL:
            return 0, pragma(self._live(), "page_count")
        return pragma(self._live(), "freelist_count"), pragma(self._live(), "page_count")

    def shrink(self, pages: int) -> None:
        """Give up to `pages` unused pages back to the disk, in this turn. Raises as `execute`."""
        for _ in range(pages):
            # Asked for more at once, it gives back one for each step of the statement, and Python takes one step.
            self.execute("PRAGMA incremental_vacuum(1)")

    def backup(self, target: Path) -> None:
        """Write a consistent copy of what is committed to `target`, 0600, whole or not at all.

        Raises:
            DiskFull, StoreError: nothing is left behind.
        """
        self.commit_now()
        copy_to(self._live(), target)

    def amend_backups(self, sql: str, params: Parameters = ()) -> int:
        """Run a deleting statement in each copy that a migration left, and overwrite what it deletes; how many copies.
        A copy in which it cannot run (so old that it has no such table, or damaged) is removed.

        Raises:
            DiskFull, StoreError: a copy still holds what should be gone.
        """
        found = backups(self.path)
        for path in found:
            amend_copy(path, sql, params)
        return len(found)

    def statistics(self) -> StoreStatistics:
        """Counters since opening, and sizes now."""
        sizes = [size(Path(f"{self.path}{suffix}")) for suffix in ("", "-wal")]
        syncs = self._log.syncs if self._log is not None else 0
        return StoreStatistics(self._commits, self._failures, syncs, *sizes)

    def close(self) -> None:
        """Commit, tell the waiters, checkpoint and close. Closing again is harmless.

        Raises:
            DiskFull, StoreDamaged, StoreError: the last turn was not committed; the store is closed nevertheless.
        """
        if self._connection is None:
            return
        error = self._commit()
        self._release()
        if error is not None:
            raise again(error)

    def abandon(self) -> None:
        """Close as a crash would: what is not committed is gone, nobody is told. For tests and simulations."""
        if self._connection is None:
            return
        self._after_commit, self._after_sync = [], []
        self._undo_turn()
        self._turn_error = None
        self._release()

    def _release(self) -> None:
        connection = self._live()
        self._connection = None
        if self._log is not None:
            self._log.close()
        self._cursor.close()
        connection.close()
        _open_here.discard(self._identity)

    def _live(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreError(f"{self.path} is closed.")
        return self._connection

    def _writable_log(self) -> LogSync:
        self._live()
        if self._log is None:
            raise StoreError(f"{self.path} is open for reading only.")
        return self._log

    def _engine_begin(self) -> None:
        try:
            self._cursor.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise typed(error, self.path) from error

    def _engine_commit(self) -> KindmeshError | None:
        try:
            self._cursor.execute("COMMIT")
        except sqlite3.Error as error:
            return typed(error, self.path)
        return None

    def _engine_rollback(self) -> None:
        if self._connection is not None and self._connection.in_transaction:
            self._connection.rollback()

    def _run(self, sql: str) -> None:
        try:
            self._cursor.execute(sql)
        except sqlite3.Error as error:
            raise self._statement_failed(error) from error

    def _statement_failed(self, error: sqlite3.Error) -> KindmeshError:
        failed = typed(error, self.path)
        if ends_turn(error) or not self._live().in_transaction:
            self._spoil_turn(failed)
        return failed


__all__ = ["Migration", "Row", "Schema", "Store", "StoreStatistics"]
