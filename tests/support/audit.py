"""Audit logs in tests: a store with one, and a check of all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from kindmesh.mesh.audit import AUDIT_TABLES, AuditLog, AuditRows
from kindmesh.mesh.clock import Clock, Entropy
from kindmesh.mesh.store import Migration, Schema, Store
from kindmesh.mesh.virtual import SeededEntropy
from kindmesh.protocol.audit import AuditEntry, open_entry
from kindmesh.protocol.audit_check import LogCheck
from kindmesh.protocol.crypto import SigningKey, sha256

MESH: Final = sha256(b"mesh")[:20]
AUTHOR: Final = SigningKey(sha256(b"author"))
SCHEMA: Final = Schema("audit-test", 1, (Migration(1, AUDIT_TABLES),))


class ManualClock:
    """A clock that stands until it is advanced."""

    def __init__(self, now_ms: int = 1_800_000_000_000) -> None:
        self.at_ms = now_ms

    def now_ms(self) -> int:
        """UTC milliseconds."""
        return self.at_ms

    def monotonic(self) -> float:
        """Seconds."""
        return self.at_ms / 1000


def open_log(
    path: Path, clock: Clock | None = None, entropy: Entropy | None = None
) -> tuple[Store, AuditLog]:
    """A store with nothing but an audit log."""
    store = Store.open(path, SCHEMA, sync="inline")
    log = AuditLog(
        store,
        mesh=MESH,
        signing=AUTHOR,
        clock=clock or ManualClock(),
        entropy=entropy or SeededEntropy("audit"),
    )
    return store, log


def entries_of(rows: AuditRows) -> list[AuditEntry]:
    """All entries of a log, unverified."""
    found: list[AuditEntry] = []
    while page := rows.page(len(found)):
        found += [open_entry(row.entry) for _, row in page]
    return found


def check_rows(
    rows: AuditRows, mesh: bytes = MESH, public: bytes = AUTHOR.public, marks: tuple[int, ...] = ()
) -> LogCheck:
    """A log, checked as `kindmesh audit verify` does it."""
    check = _checked(rows, LogCheck(mesh, public, marks))
    return _checked(rows, LogCheck(mesh, public, marks, every_seal=True)) if check.rewritten else check


def _checked(rows: AuditRows, check: LogCheck) -> LogCheck:
    after = 0
    while page := rows.page(after):
        for number, row in page:
            check.feed(number, row)
            after = number
    check.end()
    return check


__all__ = ["AUTHOR", "MESH", "SCHEMA", "ManualClock", "check_rows", "entries_of", "open_log"]
