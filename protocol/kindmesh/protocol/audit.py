"""The audit log: what was decided and what was done, so that nobody can change it later without being noticed.

Each device, the coordinator and Medulla keep one log each, signed by their own Ed25519 key. Three things hold it:

    chain     every entry names the hash of the one before, so that a changed, moved or removed one shows
    seal      the author signs a *head* (size, Merkle root, chain) after every group of entries: no entry without
    witness   others remember the newest head that they saw, so that a log that was cut or rewritten shows as well

    entry hash   = SHA-256("kindmesh-audit-entry-v1\\0" || entry bytes)
    link         = entry hash, or after a sealed entry SHA-256("kindmesh-audit-link-v1\\0" || entry hash || seal)
    first link   = SHA-256("kindmesh-audit-log-v1\\0" || mesh id || author id)
    seal         = Ed25519("kindmesh-audit-head-v1\\0" || head bytes), 64 bytes
    digest       = HMAC-SHA-256(key, contents), with a random key for each entry that is kept beside it

`previous` of an entry is the link of the one before, so older seals are held by the chain and only the last has to be
verified. A head is made from the log alone (`issued_ms` is the time of its last entry), so a seal needs no more than
its 64 bytes. The tree is that of RFC 9162 (`merkle`) over the entry bytes.

Entries hold ids, names of operations and rules, and keyed hashes: never contents. Deleting the key of an entry leaves
a digest that nobody can test a guess against; the chain does not notice, because the key was never part of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from kindmesh.protocol.bounds import Count, Hash, KeyId, OptionalTimeId, Signature, TimeMs, Word
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.crypto import SigningKey, hmac_sha256, sha256, verify
from kindmesh.protocol.errors import Malformed
from kindmesh.protocol.ids import key_id
from kindmesh.protocol.merkle import PROOF_MAX, verify_consistency
from kindmesh.protocol.signed import Signed, open_signed

AUDIT_ENTRY_DOMAIN: Final = b"kindmesh-audit-entry-v1\0"
AUDIT_LINK_DOMAIN: Final = b"kindmesh-audit-link-v1\0"
AUDIT_LOG_DOMAIN: Final = b"kindmesh-audit-log-v1\0"
AUDIT_HEAD_DOMAIN: Final = b"kindmesh-audit-head-v1\0"
AUDIT_ENTRY_MAX: Final = 8_192
"""Bytes of an encoded entry."""
AUDIT_HEADS_MAX: Final = 4
"""Logs that one heartbeat speaks of."""

Subject = Annotated[bytes, Meta(max_length=32)]
OptionalHash = Annotated[bytes, Meta(max_length=32)]


class AuditEntry(msgspec.Struct, array_like=True, frozen=True):
    """`seq` counts from 1. `kind` says what it is about, `answer` how it ended (allow, ask, deny, intent, succeeded,
    uncertain...). `subject` is the id of what was decided about (permit, question, member), `target` of the device
    that acts or was answered; empty where there is none. `code` is an error's wire code, `number` belongs to the kind:
    how often (of what was put together), a version, or Medulla's permits so far. `previous`: see the module."""

    seq: Count
    at_ms: TimeMs
    kind: Word
    answer: Word
    subject: Subject
    target: Subject
    run_id: OptionalTimeId
    job_id: OptionalTimeId
    operation: Word
    rules: Annotated[tuple[Word, ...], Meta(max_length=16)]
    code: Word
    number: Count
    digest: OptionalHash
    previous: Hash


class Note(msgspec.Struct, frozen=True):
    """What an entry will say, before it has a number; the fields are those of `AuditEntry`. `contents` is what the
    digest is made of, None for no digest."""

    kind: str
    answer: str
    at_ms: int
    subject: bytes = b""
    target: bytes = b""
    run_id: bytes = b""
    job_id: bytes = b""
    operation: str = ""
    rules: tuple[str, ...] = ()
    code: str = ""
    number: int = 0
    contents: bytes | None = None


class AuditHead(msgspec.Struct, array_like=True, frozen=True):
    """A whole log in one statement: `root` over its first `size` entries, `chain` the entry hash of the last."""

    mesh: KeyId
    author: KeyId
    size: Count
    root: Hash
    chain: Hash
    issued_ms: TimeMs


class AuditSeen(msgspec.Struct, array_like=True, frozen=True):
    """The size of that author's log that the sender remembers; 0 for none."""

    author: KeyId
    size: Count


class AuditNews(msgspec.Struct, array_like=True, frozen=True):
    """A newer head, and the proof that the log of `base` entries which the receiver said to remember is its beginning
    (none when `base` is 0)."""

    head: Signed
    base: Count
    proof: Annotated[tuple[Hash, ...], Meta(max_length=PROOF_MAX)] = ()


class SealedEntry(msgspec.Struct, array_like=True, frozen=True):
    """A row of a log: the entry's bytes, and its author's `seal` (64 bytes) or nothing when a later one covers it."""

    entry: Annotated[bytes, Meta(max_length=AUDIT_ENTRY_MAX)]
    seal: Annotated[bytes, Meta(max_length=64)] = b""


def entry_hash(entry: bytes) -> bytes:
    """32 bytes."""
    return sha256(AUDIT_ENTRY_DOMAIN + entry)


def first_link(mesh: bytes, author: bytes) -> bytes:
    """What the first entry of that author's log names as the one before."""
    return sha256(AUDIT_LOG_DOMAIN + mesh + author)


def link_after(chain: bytes, seal: bytes) -> bytes:
    """What the entry after the one with hash `chain` and this seal (or none) names."""
    return sha256(AUDIT_LINK_DOMAIN + chain + seal) if seal else chain


def open_entry(data: bytes) -> AuditEntry:
    """The entry in `data`.

    Raises:
        Malformed: it is none.
    """
    return decode(AuditEntry, data, limit=AUDIT_ENTRY_MAX)


def content_digest(key: bytes, contents: bytes) -> bytes:
    """The keyed hash of what an entry does not hold."""
    return hmac_sha256(key, contents)


def seal_head(head: AuditHead, key: SigningKey) -> bytes:
    """The author's signature, 64 bytes."""
    return key.sign(AUDIT_HEAD_DOMAIN + encode(head))


def seal_fits(head: AuditHead, seal: bytes, public: bytes) -> bool:
    """Whether `seal` over `head` was made with the key of `public`, which is the author's."""
    return head.author == key_id(public) and verify(public, seal, AUDIT_HEAD_DOMAIN + encode(head))


def signed_head(head: AuditHead, seal: Signature) -> Signed:
    """As it travels."""
    return Signed(encode(head), head.author, seal)


def open_head(signed: Signed, public: bytes, mesh: bytes) -> AuditHead:
    """The head, verified.

    Raises:
        BadSignature: not its author's. Malformed: no head, of another mesh, or about another's log.
    """
    head = open_signed(signed, AuditHead, AUDIT_HEAD_DOMAIN, public)
    if head.mesh != mesh or head.author != signed.author or head.size < 1:
        raise Malformed("the head of the audit log is not about this log")
    return head


Verdict = Literal["first", "same", "newer", "unrelated", "shrunk", "rewritten"]


def judge_head(known: AuditHead | None, new: AuditHead, base: int, proof: Sequence[bytes]) -> Verdict:
    """What a witness that remembers `known` makes of a `new` head, both verified.

    `first`, `newer`: remember it. `same`: nothing new. `unrelated`: the proof starts from another size than the one
    remembered; keep what is known and say so again. `shrunk`, `rewritten`: keep what is known and raise the alarm.
    """
    if known is None:
        return "first"
    if new.size < known.size:
        return "shrunk"
    if new.size == known.size:
        return "same" if (new.root, new.chain) == (known.root, known.chain) else "rewritten"
    if base != known.size:
        return "unrelated"
    fits = verify_consistency(known.size, new.size, known.root, new.root, proof)
    return "newer" if fits else "rewritten"


__all__ = [
    "AUDIT_ENTRY_DOMAIN",
    "AUDIT_ENTRY_MAX",
    "AUDIT_HEADS_MAX",
    "AUDIT_HEAD_DOMAIN",
    "AUDIT_LINK_DOMAIN",
    "AUDIT_LOG_DOMAIN",
    "AuditEntry",
    "AuditHead",
    "AuditNews",
    "AuditSeen",
    "Note",
    "SealedEntry",
    "Verdict",
    "content_digest",
    "entry_hash",
    "first_link",
    "judge_head",
    "link_after",
    "open_entry",
    "open_head",
    "seal_fits",
    "seal_head",
    "signed_head",
]
