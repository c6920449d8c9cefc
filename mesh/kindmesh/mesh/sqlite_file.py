"""An SQLite file before it is a store: opened, admitted, migrated, copied; and what SQLite's errors mean.

Opening for writing goes one way: `admit` (whose it is, how old, whole or not), then the log, then one transaction for
each migration after a copy was put beside it, then the settings of the connection. Whatever fails on that way leaves
the file as it was, and closes it. `typed` turns each error of SQLite (sqlite.org/rescode.html) into one of ours;
`ends_turn` says which of them a transaction cannot survive. Together with `store.py` this is all that knows SQLite.
"""

from __future__ import annotations

import os
import sqlite3
import time
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

from kindmesh.mesh.files import disk_error, sync_folder
from kindmesh.mesh.store_schema import (
    Schema,
    backup_path,
    backups,
    damaged,
    first_problem,
    no_room,
    size,
)
from kindmesh.protocol.errors import DiskFull, KindmeshError, StoreConflict, StoreError, StoreTooNew

Parameters: TypeAlias = Sequence[Any] | Mapping[str, Any]

BACKUP_DAYS: Final = 30
"""How long the copy from before a migration is kept."""
INCREMENTAL: Final = 2
"""The `auto_vacuum` of a store that can shrink."""
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


def _connect(path: Path, *, readonly: bool = False) -> sqlite3.Connection:
    mode = "ro" if readonly else "rw"
    return sqlite3.connect(
        f"file:{urllib.parse.quote(os.fspath(path.absolute()))}?mode={mode}", uri=True, isolation_level=None,
        timeout=_BUSY_MS / 1000, cached_statements=256,
    )  # fmt: skip


@contextmanager
def opening(path: Path, *, readonly: bool = False) -> Iterator[sqlite3.Connection]:
    """A new connection that stays open unless what is done with it fails.

    Raises:
        DiskFull, StoreDamaged, StoreError: for whatever SQLite or the disk says inside.
    """
    connection: sqlite3.Connection | None = None
    opened = False
    try:
        connection = _connect(path, readonly=readonly)
        yield connection
        opened = True
    except sqlite3.Error as error:
        raise typed(error, path) from error
    except OSError as error:
        raise disk_error(error, path, doing="open") from error
    finally:
        if connection is not None and not opened:
            connection.close()


def pragma(connection: sqlite3.Connection, name: str) -> int:
    """The number that a setting has."""
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def admit(connection: sqlite3.Connection, path: Path, schema: Schema) -> int:
    """Check that this is a whole store of this schema and not a newer one; returns its version, 0 for an empty file.

    Raises:
        StoreTooNew, StoreDamaged.
    """
    connection.execute("PRAGMA trusted_schema=OFF")
    version, mark = pragma(connection, "user_version"), pragma(connection, "application_id")
    if version == 0 and mark == 0 and pragma(connection, "page_count") == 0:
        return 0
    if mark != schema.application_id and (mark or version or pragma(connection, "schema_version")):
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


def make_ready(connection: sqlite3.Connection, path: Path, schema: Schema) -> None:
    """Make an open file a store of this schema that can be written, migrating it as needed.

    Raises:
        StoreTooNew, StoreDamaged, DiskFull, StoreError, and SQLite's own errors, which `opening` turns into ours.
    """
    version = admit(connection, path, schema)
    if not version:
        _let_shrink(connection, path, version)
    _use_log(connection)
    _migrate(connection, path, schema)
    if 0 < version < schema.version:
        _let_shrink(connection, path, version)
    _configure(connection)
    _drop_old_backups(path)


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
    version = pragma(connection, "user_version")
    connection.execute("PRAGMA synchronous=FULL")
    if 0 < version < schema.version:
        copy_to(connection, backup_path(path, version))
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
    if pragma(connection, "auto_vacuum") == INCREMENTAL:
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


def copy_to(source: sqlite3.Connection, target: Path) -> None:
    """Write a consistent copy of what is committed to `target`, 0600, whole or not at all.

    Raises:
        DiskFull, StoreError: nothing is left behind.
    """
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
        raise typed(error, target) from error
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise disk_error(error, target) from error


def amend_copy(path: Path, sql: str, params: Parameters) -> None:
    """Run a deleting statement in a copy that a migration left, and overwrite what it deletes. A copy in which it
    cannot run (so old that it has no such table, or damaged) is removed.

    Raises:
        DiskFull, StoreError: the copy still holds what should be gone.
    """
    with closing(_connect(path)) as copy:
        try:
            copy.execute("PRAGMA secure_delete=ON")
            copy.execute(sql, params)
            return
        except sqlite3.Error as error:
            if _code(error) & 0xFF not in _USELESS:
                raise typed(error, path) from error
    _remove_backup(path)


def ends_turn(error: sqlite3.Error) -> bool:
    """Whether the transaction in which this came up must not go on."""
    return _code(error) & 0xFF in _FATAL


def _code(error: sqlite3.Error) -> int:
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code


def typed(error: sqlite3.Error, path: Path) -> KindmeshError:
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


__all__ = [
    "BACKUP_DAYS",
    "INCREMENTAL",
    "Parameters",
    "admit",
    "amend_copy",
    "copy_to",
    "ends_turn",
    "make_ready",
    "opening",
    "pragma",
    "typed",
]
