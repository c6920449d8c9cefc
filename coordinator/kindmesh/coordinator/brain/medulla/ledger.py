"""Medulla's log of decisions: entries that each name the hash of the one before.

The hash of an entry is `SHA-256("kindmesh-medulla-log-v1\\0" || entry bytes)` and the bytes contain the previous hash,
so the newest hash fixes everything before it: a changed, removed or inserted entry shows. Entries hold ids, names of
rules and a hash of the arguments, never the arguments.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.crypto import sha256
from kindmesh.protocol.errors import StoreDamaged

LOG_DOMAIN: Final = b"kindmesh-medulla-log-v1\0"
GENESIS: Final = b"\0" * 32
"""What the first entry names as the one before."""

EntryKind = Literal["permit", "approval", "certificate", "revocation", "policy", "advert"]


class LogEntry(msgspec.Struct, array_like=True, frozen=True):
    """`seq` counts from 1; `subject` is what was made (permit, request, device id); `permits` how many were signed so
    far.
    """

    seq: int
    at_ms: int
    kind: EntryKind
    answer: str
    subject: bytes
    job_id: bytes
    operation: str
    target: bytes
    args_hash: bytes
    rules: tuple[str, ...]
    permits: int
    previous: bytes


def entry_hash(entry: bytes) -> bytes:
    """32 bytes."""
    return sha256(LOG_DOMAIN + entry)


def seal_entry(entry: LogEntry) -> tuple[bytes, bytes]:
    """The entry's bytes and their hash."""
    data = encode(entry)
    return data, entry_hash(data)


def verify_log(
    rows: Iterable[tuple[bytes, bytes]], *, previous: bytes = GENESIS, after: int = 0
) -> tuple[int, bytes]:
    """Check `rows` (entry bytes, hash) in order; returns the last sequence number and the head.

    Raises:
        StoreDamaged: which entry does not fit.
        Malformed: an entry that is none.
    """
    seq, head = after, previous
    for data, digest in rows:
        entry = decode(LogEntry, data)
        if entry.seq != seq + 1 or entry.previous != head or entry_hash(data) != digest:
            raise StoreDamaged(
                f"Medulla's log was changed at entry {seq + 1}", hint="Keep a copy of it and look into it."
            )
        seq, head = entry.seq, digest
    return seq, head


__all__ = ["GENESIS", "EntryKind", "LogEntry", "entry_hash", "seal_entry", "verify_log"]
