"""What a store is called, how old it is, and what its files look like from outside, without opening them.

A `Schema` numbers its versions from 1; each `Migration` goes one step. A store on disk is `<db>`, `<db>-wal` (the log)
and `<db>-shm` (SQLite's index of the log), with `<db>.v<old>.backup` beside it from the last migration. Nothing here
opens a file that SQLite may hold: closing it would drop SQLite's locks (see `durability.py`).
"""

from __future__ import annotations

import os
import re
import resource
import stat
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from kindmesh.mesh.files import disk_error
from kindmesh.protocol.errors import StoreDamaged, StoreError

_LOW_SPACE: Final = 1024**2


class Migration(msgspec.Struct, frozen=True):
    """One step: from version `version - 1` to `version` by `statements`, in one transaction."""

    version: int
    statements: tuple[str, ...]


class Schema(msgspec.Struct, frozen=True):
    """A kind of store: its name, its current version and how to get there from nothing, one migration a version."""

    name: str
    version: int
    migrations: tuple[Migration, ...]

    def __post_init__(self) -> None:
        if [step.version for step in self.migrations] != list(range(1, self.version + 1)):
            raise ValueError(f"schema {self.name}: migrations must be 1..{self.version} in order")

    @property
    def application_id(self) -> int:
        """The positive 31-bit mark in the file's header."""
        return zlib.crc32(f"kindmesh-store:{self.name}".encode()) & 0x7FFFFFFF


class StoreStatistics(msgspec.Struct, frozen=True):
    """A snapshot: turns committed and lost, syncs done, bytes of database and log."""

    commits: int
    failures: int
    syncs: int
    database_bytes: int
    log_bytes: int


_NULL: Final = re.compile(r"NULL value in (\w+)\.(\w+)")
_IS_NULL: Final = """SELECT 1 FROM "{}" WHERE typeof("{}") = 'null' LIMIT 1"""
_REPORTS_MAX: Final = 1_000_000


def file_identity(path: Path) -> tuple[int, int]:
    """What makes two paths the same file: device and inode."""
    found = path.stat()
    return found.st_dev, found.st_ino


def size(path: Path) -> int:
    """Bytes of a file, 0 when it is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def prepare(path: Path) -> None:
    """Make the file 0600 before SQLite does; look at an existing one only through its name (POSIX locks)."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    except FileExistsError:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise StoreError(f"{path} is not a file.") from None
        if stat.S_IMODE(found.st_mode) & 0o077:
            path.chmod(0o600)
        if found.st_size == 0 and size(Path(f"{path}-wal")) > 0:
            raise damaged(path, "the file is empty but its log is not") from None
    except OSError as error:
        raise disk_error(error, path, doing="open") from error


def backup_path(path: Path, version: int) -> Path:
    """Where the copy goes that is made before leaving `version`."""
    return path.with_name(f"{path.name}.v{version}.backup")


def backups(path: Path) -> list[Path]:
    """The copies that migrations left beside the store at `path`."""
    return sorted(path.parent.glob(f"{path.name}.v*.backup"))


def damaged(path: Path, why: str) -> StoreDamaged:
    """The error for a store that cannot be trusted; the hint names the newest backup."""
    found = backups(path)
    restore = (
        f"Stop Kindmesh and restore a copy, for example {found[-1].name}."
        if found
        else ("Stop Kindmesh, move the file away (keep it), and restore your own backup if there is one.")
    )
    return StoreDamaged(f"{path} is damaged: {why}.", hint=restore)


def first_problem(query: Callable[[str], Iterable[tuple[Any, ...]]]) -> str:
    """What SQLite's quick check finds first; empty when the structure is whole. `query` runs a reading statement.

    SQLite 3.40 (Debian 12's) reports columns of tables WITHOUT ROWID as NULL that are not, when their primary key is
    not made of the table's first columns: such a report counts only if the table has such a row. Asked by `typeof`,
    because `IS NULL` of what must not be NULL is answered without looking.
    """
    for (found,) in query(f"PRAGMA quick_check({_REPORTS_MAX})"):
        if found == "ok":
            break
        null = _NULL.fullmatch(found)
        if null is None or any(query(_IS_NULL.format(*null.groups()))):
            return str(found)
    return ""


def no_room(path: Path) -> bool:
    """SQLite reports some full disks as a failed write: tell them from a broken disk by looking at the room left."""
    try:
        found = os.statvfs(path.parent)
    except OSError:
        return False
    if found.f_bavail * found.f_frsize < _LOW_SPACE:
        return True
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    largest = max(size(Path(f"{path}{suffix}")) for suffix in ("", "-wal"))
    return limit != resource.RLIM_INFINITY and largest + _LOW_SPACE > limit


__all__ = [
    "Migration",
    "Schema",
    "StoreStatistics",
    "backup_path",
    "backups",
    "damaged",
    "file_identity",
    "first_problem",
    "no_room",
    "prepare",
    "size",
]
