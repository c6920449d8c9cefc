"""The floor of the journal: rows of the same size into a bare SQLite table, with the same settings of the log."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Literal


def insert_rate(
    path: Path, rows: int, *, size: int, group: int, synchronous: Literal["NORMAL", "FULL"]
) -> float:
    """Rows per second: `rows` of `size` bytes with a unique 16-byte id, `group` in one transaction."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in ("journal_mode=WAL", f"synchronous={synchronous}"):
            connection.execute(f"PRAGMA {statement}").fetchone()
        connection.execute(
            "CREATE TABLE job (seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, body BLOB NOT NULL)"
        )
        body = b"x" * size
        begun = time.perf_counter()
        for first in range(0, rows, group):
            connection.execute("BEGIN IMMEDIATE")
            for number in range(first, min(first + group, rows)):
                connection.execute(
                    "INSERT INTO job (id, body) VALUES (?, ?)", (number.to_bytes(16, "big"), body)
                )
            connection.execute("COMMIT")
        return rows / (time.perf_counter() - begun)


__all__ = ["insert_rate"]
