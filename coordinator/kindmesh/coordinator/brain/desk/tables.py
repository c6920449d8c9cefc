"""The table of the desk in the coordinator's journal; apart from the code that reads it, so that the journal's schema
can be put together without it."""

from __future__ import annotations

from typing import Final

DESK_TABLES: Final = (
    """CREATE TABLE desk_note (
        kind TEXT NOT NULL, owner BLOB NOT NULL, note BLOB NOT NULL, at_ms INTEGER NOT NULL, sealed BLOB NOT NULL,
        PRIMARY KEY (kind, owner, note)
    ) WITHOUT ROWID""",
    "CREATE INDEX desk_note_age ON desk_note (kind, owner, at_ms)",
)
"""`owner`: a hash of whose it is; `sealed` under a key of that owner and kind. What was said is never in the clear."""

__all__ = ["DESK_TABLES"]
