"""The tables of schedules in the coordinator's journal; apart from the code that reads them, so that the journal's
schema can be put together without it."""

from __future__ import annotations

from typing import Final

SCHEDULE_TABLES: Final = (
    """CREATE TABLE schedule (
        schedule_id BLOB PRIMARY KEY, principal TEXT NOT NULL, state TEXT NOT NULL, cursor_ms INTEGER NOT NULL,
        pruned_ms INTEGER NOT NULL DEFAULT 0, sealed BLOB NOT NULL, why BLOB NOT NULL, watched BLOB
    ) WITHOUT ROWID""",
    """CREATE TABLE firing (
        schedule_id BLOB NOT NULL, due_ms INTEGER NOT NULL, state TEXT NOT NULL, decided_ms INTEGER NOT NULL,
        late_ms INTEGER NOT NULL DEFAULT 0, ref BLOB NOT NULL DEFAULT x'', ended_ms INTEGER NOT NULL DEFAULT 0,
        reason TEXT NOT NULL DEFAULT '', first_ms INTEGER NOT NULL DEFAULT 0, count INTEGER NOT NULL DEFAULT 1,
        more INTEGER NOT NULL DEFAULT 0, why BLOB NOT NULL, PRIMARY KEY (schedule_id, due_ms)
    ) WITHOUT ROWID""",
    "CREATE INDEX firing_open ON firing (schedule_id) WHERE state IN ('waiting', 'starting', 'started')",
)

__all__ = ["SCHEDULE_TABLES"]
