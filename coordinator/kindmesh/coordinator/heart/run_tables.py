"""The tables of runs in the coordinator's journal; see `runs.run_journal`, which owns them."""

from __future__ import annotations

from typing import Final

RUN_TABLES: Final = (
    """CREATE TABLE run (
        seq INTEGER PRIMARY KEY, run_id BLOB NOT NULL UNIQUE, key TEXT UNIQUE, digest BLOB NOT NULL,
        principal TEXT NOT NULL, priority TEXT NOT NULL, purpose TEXT NOT NULL, depth INTEGER NOT NULL,
        parent BLOB NOT NULL, parent_path TEXT NOT NULL, parent_attempt INTEGER NOT NULL, begun_ms INTEGER NOT NULL,
        until_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL DEFAULT 0, state TEXT NOT NULL, ending TEXT NOT NULL,
        place TEXT NOT NULL, asked BLOB NOT NULL, result BLOB
    )""",
    "CREATE INDEX run_open ON run (seq) WHERE ended_ms = 0",
    "CREATE INDEX run_ended ON run (ended_ms) WHERE ended_ms > 0",
    "CREATE INDEX run_parent ON run (parent) WHERE parent != X''",
    """CREATE TABLE run_item (
        run_id BLOB NOT NULL, path TEXT NOT NULL, step TEXT NOT NULL, state TEXT NOT NULL, begun_ms INTEGER NOT NULL,
        attempt INTEGER NOT NULL, ref BLOB NOT NULL, due_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL,
        ended_ms INTEGER NOT NULL, number INTEGER NOT NULL, iterations INTEGER NOT NULL, contents BLOB NOT NULL,
        PRIMARY KEY (run_id, path)
    ) WITHOUT ROWID""",
    "CREATE TABLE run_memo (memo BLOB PRIMARY KEY, run_id BLOB NOT NULL, made_ms INTEGER NOT NULL,"
    " contents BLOB NOT NULL) WITHOUT ROWID",
    "CREATE INDEX run_memo_made ON run_memo (made_ms)",
)
"""Statements of the migration that brings runs."""

__all__ = ["RUN_TABLES"]
