"""The one module that owns SQLite: a journal on disk that commits once per turn of the event loop.

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
per step, after a backup `<db>.v<old>.backup` (kept for 30 days); newer is refused.
`secure_delete` overwrites what is deleted.
"""

from __future__ import annotations

import os
import sqlite3
import time
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

from kindmesh.mesh.durability import LogSync, Where, again
from kindmesh.mesh.files import disk_error, private_folder, sync_folder
from kindmesh.mesh.store_schema import (
    Migration,
    Schema,
    StoreStatistics,
    backup_path,
    backups,
    damaged,
    file_identity,
    first_problem,
    no_room,
    prepare,
    size,
)
from kindmesh.mesh.turns import Turns
from kindmesh.protocol.errors import (
    DiskFull,
    KindmeshError,
    StoreConflict,
    StoreError,
    StoreTooNew,
)

Parameters: TypeAlias = Sequence[Any] | Mapping[str, Any]
Row: TypeAlias = tuple[Any, ...]

_BUSY_MS: Final = 3_000
_CHECK_BELOW: Final = 16 * 1024**2
_CHECKPOINT_PAGES: Final = 1_000
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_NO_ROOM: Final = frozenset((
    sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_FSYNC,
    sqlite3.SQLITE_IOERR_TRUNCATE, sqlite3.SQLITE_IOERR_DIR_FSYNC, sqlite3.SQLITE_CANTOPEN,
))  # fmt: skip
_FATAL: Final = frozenset((
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_INTERRUPT,
))  # fmt: skip
"""After these a transaction must not go on (sqlite.org/lang_transaction.html, "Response To Errors")."""
_USELESS: Final = frozenset({sqlite3.SQLITE_ERROR, *_DAMAGED})
_REWRITE_BELOW: Final = 256 * 1024**2
"""Bytes up to which a migration writes a store anew, to make it one that can shrink."""
_INCREMENTAL: Final = 2
BACKUP_DAYS: Final = 30
"""How long the copy from before a migration is kept."""
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
        with _opening(path) as connection:
            version = _admit(connection, path, schema)
            if not version:
                _let_shrink(connection, path, version)
            _use_log(connection)
            _migrate(connection, path, schema)
            if 0 < version < schema.version:
                _let_shrink(connection, path, version)
            _configure(connection)
            _drop_old_backups(path)
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
        with _opening(path, readonly=True) as connection:
            version = _admit(connection, path, schema)
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
            raise _typed(error, self.path) from error

    def query_one(self, sql: str, params: Parameters = ()) -> Row | None:
        """The first row of a reading statement, or None."""
        try:
            row: Row | None = self._live().execute(sql, params).fetchone()
        except sqlite3.Error as error:
            raise _typed(error, self.path) from error
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
        if _pragma(self._live(), "auto_vacuum") != _INCREMENTAL:
            return 0, _pragma(self._live(), "page_count")
        return _pragma(self._live(), "freelist_count"), _pragma(self._live(), "page_count")

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
        _backup(self._live(), target)

    def amend_backups(self, sql: str, params: Parameters = ()) -> int:
        """Run a deleting statement in each copy that a migration left, and overwrite what it deletes; how many copies.
        A copy in which it cannot run (so old that it has no such table, or damaged) is removed.

        Raises:
            DiskFull, StoreError: a copy still holds what should be gone.
        """
        found = backups(self.path)
        for path in found:
            with closing(_connect(path)) as copy:
                try:
                    copy.execute("PRAGMA secure_delete=ON")
                    copy.execute(sql, params)
                    continue
                except sqlite3.Error as error:
                    if _code(error) & 0xFF not in _USELESS:
                        raise _typed(error, path) from error
            _remove_backup(path)
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
            raise _typed(error, self.path) from error

    def _engine_commit(self) -> KindmeshError | None:
        try:
            self._cursor.execute("COMMIT")
        except sqlite3.Error as error:
            return _typed(error, self.path)
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
        typed = _typed(error, self.path)
        if _code(error) & 0xFF in _FATAL or not self._live().in_transaction:
            self._spoil_turn(typed)
        return typed


def _connect(path: Path, *, readonly: bool = False) -> sqlite3.Connection:
    mode = "ro" if readonly else "rw"
    return sqlite3.connect(
        f"file:{urllib.parse.quote(os.fspath(path.absolute()))}?mode={mode}", uri=True, isolation_level=None,
        timeout=_BUSY_MS / 1000, cached_statements=256,
    )  # fmt: skip


@contextmanager
def _opening(path: Path, *, readonly: bool = False) -> Iterator[sqlite3.Connection]:
    """A new connection that stays open unless what is done with it fails."""
    connection: sqlite3.Connection | None = None
    opened = False
    try:
        connection = _connect(path, readonly=readonly)
        yield connection
        opened = True
    except sqlite3.Error as error:
        raise _typed(error, path) from error
    except OSError as error:
        raise disk_error(error, path, doing="open") from error
    finally:
        if connection is not None and not opened:
            connection.close()


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _admit(connection: sqlite3.Connection, path: Path, schema: Schema) -> int:
    """Check that this is a whole store of this schema and not a newer one; returns its version, 0 for an empty file."""
    connection.execute("PRAGMA trusted_schema=OFF")
    version, mark = _pragma(connection, "user_version"), _pragma(connection, "application_id")
    if version == 0 and mark == 0 and _pragma(connection, "page_count") == 0:
        return 0
    if mark != schema.application_id and (mark or version or _pragma(connection, "schema_version")):
        raise damaged(path, f"it is not a store of the kind {schema.name!r}")
    if version > schema.version:
        raise StoreTooNew(
            f"{path} is from a newer Kindmesh: it has version {version}, this program knows up to {schema.version}.",
            hint=f"Update Kindmesh, or restore {backup_path(path, schema.version).name} if it is there.",
        )
    if path.stat().st_size <= _CHECK_BELOW:
        problem = first_problem(lambda sql: connection.execute(sql).fetchall())
        if problem:
            raise damaged(path, problem)
    return version


def _use_log(connection: sqlite3.Connection) -> None:
    mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    if mode != "wal":
        raise StoreError("This file system cannot hold a store (no shared memory).", hint="Use a local disk.")


def _configure(connection: sqlite3.Connection) -> None:
    checkpoint = f"wal_autocheckpoint={_CHECKPOINT_PAGES}"
    for pragma in (
        "synchronous=NORMAL",
        "foreign_keys=ON",
        "secure_delete=ON",
        "temp_store=MEMORY",
        checkpoint,
    ):
        connection.execute(f"PRAGMA {pragma}").fetchone()


def _migrate(connection: sqlite3.Connection, path: Path, schema: Schema) -> None:
    version = _pragma(connection, "user_version")
    connection.execute("PRAGMA synchronous=FULL")
    if 0 < version < schema.version:
        _backup(connection, backup_path(path, version))
    for step in schema.migrations[version:]:
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in step.statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id={schema.application_id}")
            connection.execute(f"PRAGMA user_version={step.version}")
            connection.execute("COMMIT")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.rollback()
            raise


def _let_shrink(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """Make a store that can shrink: a new one before it has any table, an older one by writing it anew, while it is
    migrated anyway. Without room for that it stays as it is."""
    if _pragma(connection, "auto_vacuum") == _INCREMENTAL:
        return
    connection.execute("PRAGMA auto_vacuum=INCREMENTAL").fetchone()
    if version and size(path) <= _REWRITE_BELOW:
        try:
            connection.execute("VACUUM")
        except sqlite3.Error as error:
            if _code(error) & 0xFF in _DAMAGED:
                raise


def _drop_old_backups(path: Path) -> None:
    """A copy from a migration is for going back when the new version does not work: not for ever."""
    oldest = time.time() - BACKUP_DAYS * 86_400
    for backup in backups(path):
        if size(backup) and backup.stat().st_mtime < oldest:
            _remove_backup(backup)


def _remove_backup(path: Path) -> None:
    try:
        for suffix in ("-wal", "-shm", "-journal", ""):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise disk_error(error, path, doing="remove") from error


def _backup(source: sqlite3.Connection, target: Path) -> None:
    temporary = target.with_name(f"{target.name}.new")
    temporary.unlink(missing_ok=True)
    try:
        os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
        copy = _connect(temporary)
        try:
            source.backup(copy)
        finally:
            copy.close()
        os.rename(temporary, target)
        sync_folder(target.parent)
    except sqlite3.Error as error:
        temporary.unlink(missing_ok=True)
        raise _typed(error, target) from error
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise disk_error(error, target) from error


def _code(error: sqlite3.Error) -> int:
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code


def _typed(error: sqlite3.Error, path: Path) -> KindmeshError:
    """The typed error for one of SQLite's (sqlite.org/rescode.html)."""
    code = _code(error)
    primary = code & 0xFF
    if primary == sqlite3.SQLITE_CONSTRAINT:
        return StoreConflict(f"The entry contradicts one that is there: {error}.")
    if primary == sqlite3.SQLITE_FULL or (code in _NO_ROOM and no_room(path)):
        return DiskFull(f"The disk is full: {path} could not be written.")
    if primary in _DAMAGED:
        return damaged(path, str(error))
    return StoreError(f"{path} could not be used: {error}.")


__all__ = ["BACKUP_DAYS", "Migration", "Row", "Schema", "Store", "StoreStatistics"]
