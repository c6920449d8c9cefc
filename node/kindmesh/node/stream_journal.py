"""What of a stream survives: that its permit was used, and in the audit log that it began and how it ended.

A session permit opens one stream, once: it is on the disk before the operation begins (safe from a power cut when the
operation does more than read), so neither a restart nor a second opening with the same permit begins it again. It is
forgotten when no clock could take it for valid any more. What flows is never written down.
"""

from __future__ import annotations

import asyncio
from typing import Final

from kindmesh.mesh.audit import AuditLog
from kindmesh.mesh.store import Store
from kindmesh.protocol.errors import KindmeshError
from kindmesh.protocol.limits import CLOCK_SKEW_MS
from kindmesh.protocol.messages import StreamOpen
from kindmesh.protocol.messages.streams import StreamReason
from kindmesh.protocol.permit import Permit

STREAM_TABLES: Final = (
    "CREATE TABLE stream_permits (permit_id BLOB PRIMARY KEY, until_ms INTEGER NOT NULL) WITHOUT ROWID",
)


class StreamJournal:
    """`store` has the node's schema."""

    def __init__(self, store: Store, audit: AuditLog) -> None:
        self._store = store
        self._audit = audit

    def use(self, permit: Permit, now_ms: int) -> bool:
        """Use up a permit, in this turn; False when it was used before.

        Raises:
            DiskFull, StoreError.
        """
        self._store.execute("DELETE FROM stream_permits WHERE until_ms < ?", (now_ms - 2 * CLOCK_SKEW_MS,))
        known = self._store.query_one("SELECT 1 FROM stream_permits WHERE permit_id = ?", (permit.permit_id,))
        if known is not None:
            return False
        self._store.execute("INSERT INTO stream_permits VALUES (?, ?)", (permit.permit_id, permit.expires_ms))
        return True

    async def written(self, *, full: bool) -> None:
        """What this turn wrote is on the disk; `full`: safe from a power cut.

        Raises:
            DiskFull, StoreError: it is not.
        """
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(error: KindmeshError | None) -> None:
            if stored.done():
                return
            if error is None:
                stored.set_result(None)
            else:
                stored.set_exception(error)

        if full:
            self._store.after_sync(done)
        else:
            self._store.after_commit(done)
        await stored

    def begun(self, asked: StreamOpen, opener: bytes, permit: Permit) -> None:
        """The stream begins."""
        self._audit.note(
            "stream", "begun", subject=permit.permit_id, target=opener, run_id=permit.run_id,
            job_id=asked.stream_id, operation=asked.operation, contents=asked.args,
        )  # fmt: skip

    def ended(self, permit: Permit, opener: bytes, reason: StreamReason, *, code: str, size: int) -> None:
        """It ended; `size` bytes flowed, both ways."""
        self._audit.note(
            "stream", reason, subject=permit.permit_id, target=opener, run_id=permit.run_id,
            job_id=permit.job_id, operation=permit.operation, code=code, number=size,
        )  # fmt: skip

    def refused(self, opener: bytes, code: str) -> None:
        """An opening was refused; many alike are put together."""
        self._audit.refused("stream", opener, code)


__all__ = ["STREAM_TABLES", "StreamJournal"]
