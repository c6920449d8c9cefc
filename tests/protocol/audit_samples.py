"""A small audit log in which nothing is random: three entries in two groups, by Medulla's permit key."""

from __future__ import annotations

from typing import Final

from tests.protocol.samples import IDS, MESH, NOW, SIGNING, seed, time_id

from kindmesh.protocol.audit import (
    AuditEntry,
    AuditHead,
    AuditNews,
    AuditSeen,
    SealedEntry,
    content_digest,
    entry_hash,
    first_link,
    link_after,
    seal_head,
    signed_head,
)
from kindmesh.protocol.codec import encode
from kindmesh.protocol.merkle import Frontier, leaf_hash

AUTHOR: Final = SIGNING["phone"]
CONTENTS: Final = b"Good morning"


def _entry(seq: int, answer: str, previous: bytes) -> AuditEntry:
    return AuditEntry(
        seq, NOW + seq, "effect", answer, time_id(seq), IDS["desk"], time_id(7), time_id(8), "notes.append",
        ("owner",), "", 0, content_digest(seed("digest"), CONTENTS), previous,
    )  # fmt: skip


def _grow() -> tuple[list[AuditEntry], list[SealedEntry], list[AuditHead], Frontier]:
    entries: list[AuditEntry] = []
    rows: list[SealedEntry] = []
    heads: list[AuditHead] = []
    tree, link = Frontier(), first_link(MESH, IDS["phone"])
    for seq, answer, sealed in ((1, "intent", False), (2, "succeeded", True), (3, "intent", True)):
        entry = _entry(seq, answer, link)
        data = encode(entry)
        tree.append(leaf_hash(data))
        chain = entry_hash(data)
        heads.append(AuditHead(MESH, IDS["phone"], seq, tree.root(), chain, entry.at_ms))
        seal = seal_head(heads[-1], AUTHOR) if sealed else b""
        entries.append(entry)
        rows.append(SealedEntry(data, seal))
        link = link_after(chain, seal)
    return entries, rows, heads, tree


ENTRIES, ROWS, HEADS, _TREE = _grow()
SIGNED_HEAD: Final = signed_head(HEADS[-1], ROWS[-1].seal)
NEWS: Final = AuditNews(SIGNED_HEAD, 2, (leaf_hash(ROWS[2].entry),))
SEEN: Final = AuditSeen(IDS["phone"], 2)

__all__ = ["AUTHOR", "CONTENTS", "ENTRIES", "HEADS", "NEWS", "ROWS", "SEEN", "SIGNED_HEAD"]
