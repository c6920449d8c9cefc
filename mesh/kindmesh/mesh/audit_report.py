"""What a process tells others of its audit log and of those that it witnesses: findings for `doctor`, rows, heads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from kindmesh.mesh.audit import AuditLog
from kindmesh.mesh.audit_witness import Witness
from kindmesh.protocol.audit import SealedEntry
from kindmesh.protocol.signed import signed_to_bytes

ROWS_MAX: Final = 500
"""Rows in one page for another process."""


def audit_findings(
    audit: AuditLog, witness: Witness, name: Callable[[bytes], str], anchor_problem: str = ""
) -> list[tuple[str, str, str]]:
    """(level, sentence, hint) about a device's own log and those that it witnesses."""
    found = []
    look = "Run kindmesh audit verify, and keep a copy of the files before anything else."
    if audit.problem:
        found.append(("fail", f"The audit log was changed while it was off: {audit.problem}.", look))
    if audit.unwritten:
        sentence = f"{audit.unwritten} entries of the audit log could not be written."
        found.append(("warn", sentence, "Is the disk full?"))
    for one in witness.problems():
        who = name(one.author)
        found.append(("fail", f"The audit log of {who} was tampered with: {one.problem}.", look))
    if anchor_problem:
        found.append(
            ("warn", f"The audit anchor does not answer: {anchor_problem}.", "Is its disk attached?")
        )
    if not found:
        found.append(("ok", f"{audit.committed} entries, each signed.", ""))
    return found


def heads_document(witness: Witness) -> list[list[Any]]:
    """[author, signed head, seen_ms, problem] of every log that is remembered."""
    return [[one.author, signed_to_bytes(one.head), one.seen_ms, one.problem] for one in witness.all()]


def rows_document(rows: Sequence[tuple[int, SealedEntry]]) -> list[list[Any]]:
    """[number, entry bytes, seal] of rows of a log."""
    return [[number, row.entry, row.seal] for number, row in rows]


__all__ = ["ROWS_MAX", "audit_findings", "heads_document", "rows_document"]
