"""The audit log of one author, in a store beside what it tells about (format: `kindmesh.protocol.audit`).

`note` only remembers; right before a turn of the store is committed, all notes of the turn are chained, written and
sealed by one signature over the new head. So an entry is on the disk exactly when the decision or the effect is that
the same turn wrote, it costs no sync of its own, and no committed entry is without a signature. A turn that is undone
takes its notes with it; how many were lost in that way is counted (`unwritten`), logged and told by `doctor`.

    audit        seq (from 1), the entry's bytes, the seal (NULL when a later one covers it)
    audit_node   roots of complete subtrees of 256 leaves and more, so that any proof takes under a thousand hashes
    audit_key    the key of an entry's digest; deleting it forgets what the digest stood for
    audit_head   the heads of other logs that this device witnessed (see `audit_witness`)

A flood of refusals becomes one entry for each (peer, code) and minute with its `number` of times: the first at once,
the rest when the minute is over. Of those still counting, a `kill -9` loses at most a minute; of anything else nothing.
"""

from __future__ import annotations

import logging
from typing import Final

from kindmesh.mesh.clock import Clock, Entropy
from kindmesh.mesh.store import Store
from kindmesh.protocol.audit import (
    AuditEntry,
    AuditHead,
    AuditNews,
    Note,
    SealedEntry,
    content_digest,
    entry_hash,
    first_link,
    link_after,
    open_entry,
    seal_fits,
    seal_head,
    signed_head,
)
from kindmesh.protocol.codec import encode
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.errors import KindmeshError, Malformed, StoreDamaged
from kindmesh.protocol.ids import key_id
from kindmesh.protocol.merkle import Frontier, consistency_path, decomposition, leaf_hash, node_hash, root_at
from kindmesh.protocol.signed import Signed

log = logging.getLogger("kindmesh.mesh.audit")

AUDIT_TABLES: Final = (
    "CREATE TABLE audit (seq INTEGER PRIMARY KEY, entry BLOB NOT NULL, seal BLOB)",
    "CREATE TABLE audit_node (level INTEGER NOT NULL, place INTEGER NOT NULL, hash BLOB NOT NULL,"
    " PRIMARY KEY (level, place)) WITHOUT ROWID",
    "CREATE TABLE audit_key (seq INTEGER PRIMARY KEY, run BLOB NOT NULL, made_ms INTEGER NOT NULL, key BLOB NOT NULL)",
    "CREATE TABLE audit_head (author BLOB PRIMARY KEY, head BLOB NOT NULL, seen_ms INTEGER NOT NULL,"
    " problem TEXT NOT NULL DEFAULT '', other BLOB) WITHOUT ROWID",
)
"""Statements for a migration of a store that has an audit log."""
KEPT_LEVEL: Final = 8
"""Complete subtrees of 2**8 leaves and more are kept."""
REFUSALS_MAX: Final = 256
"""Pairs of peer and code that are counted at once; more count together, without a peer."""
MINUTE_MS: Final = 60_000
PAGE: Final = 1_000
_APPEND: Final = "INSERT INTO audit VALUES (?, ?, ?)"
_NODE: Final = "INSERT OR REPLACE INTO audit_node VALUES (?, ?, ?)"
_KEY: Final = "INSERT INTO audit_key VALUES (?, ?, ?, ?)"


class AuditRows:
    """Reads a log out of any store that has `AUDIT_TABLES`, also one opened for reading only."""

    def __init__(self, store: Store) -> None:
        self._rows = store

    @property
    def size(self) -> int:
        """The number of the last row; 0 when there is none."""
        row = self._rows.query_one("SELECT max(seq) FROM audit")
        return 0 if row is None or row[0] is None else int(row[0])

    def page(self, after: int, limit: int = PAGE) -> list[tuple[int, SealedEntry]]:
        """Up to `limit` rows with numbers above `after`, in order."""
        rows = self._rows.query(
            "SELECT seq, entry, seal FROM audit WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit)
        )
        return [(int(seq), SealedEntry(bytes(entry), bytes(seal or b""))) for seq, entry, seal in rows]

    def key(self, seq: int) -> bytes | None:
        """The key of an entry's digest; None when it has none or was forgotten."""
        row = self._rows.query_one("SELECT key FROM audit_key WHERE seq = ?", (seq,))
        return None if row is None else bytes(row[0])

    def node(self, level: int, index: int) -> bytes:
        """The root of a complete subtree (see `protocol.merkle`).

        Raises:
            StoreDamaged: an entry of it is missing.
        """
        if level >= KEPT_LEVEL:
            row = self._rows.query_one(
                "SELECT hash FROM audit_node WHERE level = ? AND place = ?", (level, index)
            )
            if row is not None:
                return bytes(row[0])
            return node_hash(self.node(level - 1, 2 * index), self.node(level - 1, 2 * index + 1))
        first, count = (index << level) + 1, 1 << level
        rows = self._rows.query(
            "SELECT entry FROM audit WHERE seq BETWEEN ? AND ?", (first, first + count - 1)
        )
        if len(rows) != count:
            raise StoreDamaged(f"entries {first} to {first + count - 1} of the audit log are not all there")
        tree = Frontier()
        for (entry,) in rows:
            tree.append(leaf_hash(bytes(entry)))
        return tree.root()

    def frontier(self, size: int) -> Frontier:
        """That of the first `size` entries; raises as `node`."""
        return Frontier(size, [self.node(*place) for place in decomposition(size)])

    def root(self, size: int) -> bytes:
        """The root of the first `size` entries; raises as `node`."""
        return root_at(size, self.node)

    def consistency(self, first: int, second: int) -> tuple[bytes, ...]:
        """The proof that the log of `first` entries is the beginning of that of `second`; raises as `node`."""
        return tuple(consistency_path(first, second, self.node))


class AuditLog(AuditRows):
    """See the module. Keeps the log of `signing` in `store`, whose turns it completes."""

    def __init__(
        self, store: Store, *, mesh: bytes, signing: SigningKey, clock: Clock, entropy: Entropy
    ) -> None:
        """Find the end of the log. One that does not fit its own signature is gone on with, and that is its next
        entry: a device that is needed must not stay away because somebody touched its log."""
        super().__init__(store)
        self._store = store
        self.mesh, self.author = mesh, key_id(signing.public)
        self._signing, self._clock, self._entropy = signing, clock, entropy
        self.unwritten = 0
        """Notes that were lost because the disk did not take them."""
        self.problem = ""
        """What was wrong with the log when it was opened; empty when nothing."""
        self._notes: list[Note] = []
        self._refusals: dict[tuple[str, bytes, str], int] = {}
        self._minute_ends_ms = 0
        self._head: Signed | None = None
        self._link = first_link(mesh, self.author)
        self._frontier = Frontier()
        self._last_ms = 0
        self._next: tuple[Frontier, bytes, int, Signed] | None = None
        self._recall()
        store.accompany(self)
        if self.problem:
            log.error("the audit log was changed", extra={"entries": self._frontier.size})
            self.note("audit", "broken", number=self._frontier.size)

    def _recall(self) -> None:
        size = self.size
        if size == 0:
            return
        try:
            self._frontier = self.frontier(size)
        except StoreDamaged as error:
            self.problem = error.message
            self._frontier = Frontier(size, [bytes(32)] * size.bit_count())
        ((_, last),) = self.page(size - 1, 1)
        chain = entry_hash(last.entry)
        self._link = link_after(chain, last.seal)
        try:
            entry = open_entry(last.entry)
        except Malformed:
            self.problem = f"entry {size} cannot be read"
            return
        self._last_ms = entry.at_ms
        head = AuditHead(self.mesh, self.author, size, self._frontier.root(), chain, entry.at_ms)
        if entry.seq == size and seal_fits(head, last.seal, self._signing.public):
            self._head = signed_head(head, last.seal)
        elif not self.problem:
            self.problem = f"entry {size} does not fit its signature"

    # What others call.

    def note(
        self,
        kind: str,
        answer: str,
        *,
        subject: bytes = b"",
        target: bytes = b"",
        run_id: bytes = b"",
        job_id: bytes = b"",
        operation: str = "",
        rules: tuple[str, ...] = (),
        code: str = "",
        number: int = 0,
        contents: bytes | None = None,
    ) -> None:
        """Add an entry to this turn; the fields are those of `AuditEntry`, `contents` is what the digest is made of.

        Never raises: what the disk does not take is counted in `unwritten`. Call it right after the statement that
        writes the decision or effect, then both are kept or neither is.
        """
        note = Note(
            kind, answer, self._clock.now_ms(), subject, target, run_id, job_id, operation, rules, code, number,
            contents,
        )  # fmt: skip
        try:
            self.add(note)
        except KindmeshError as error:
            self.unwritten += 1
            log.error("an audit entry was not written", extra={"code": error.code, "kind": kind})

    def add(self, note: Note) -> None:
        """As `note`, for those who may not go on without it.

        Raises:
            DiskFull, StoreDamaged, StoreError: it will not be written.
        """
        self._store.join()
        self._notes.append(note)

    def refused(self, kind: str, peer: bytes, code: str) -> None:
        """Note that something of `peer` (an id or a key, or empty) was refused so; put together by the minute."""
        now_ms = self._clock.now_ms()
        self._end_minute(now_ms)
        pair = (kind, peer, code)
        if pair not in self._refusals and len(self._refusals) >= REFUSALS_MAX:
            pair = (kind, b"", code if len(self._refusals) < 2 * REFUSALS_MAX else "")
        if pair in self._refusals:
            self._refusals[pair] += 1
        else:
            self._refusals[pair] = 0
            self.note(kind, "refused", target=peer, code=code, number=1)

    def tick(self) -> None:
        """Once a heartbeat: write what was put together, when its minute is over."""
        self._end_minute(self._clock.now_ms())

    def flush(self) -> None:
        """Write what was put together so far."""
        counted, self._refusals = self._refusals, {}
        for (kind, peer, code), times in counted.items():
            if times:
                self.note(kind, "refused", target=peer, code=code, number=times)

    def _end_minute(self, now_ms: int) -> None:
        if now_ms >= self._minute_ends_ms or now_ms < self._minute_ends_ms - MINUTE_MS:
            self._minute_ends_ms = now_ms + MINUTE_MS
            self.flush()

    def forget(self, run_id: bytes) -> int:
        """Delete, in this turn, the keys of all digests of that run; how many there were.

        Raises:
            DiskFull, StoreError: as `Store.execute`.
        """
        return self._store.execute("DELETE FROM audit_key WHERE run = ?", (run_id,))

    def forget_before(self, before_ms: int) -> int:
        """Delete, in this turn, the keys of all digests that were made before; how many. Raises as `forget`."""
        return self._store.execute("DELETE FROM audit_key WHERE made_ms < ?", (before_ms,))

    # Heads.

    @property
    def head(self) -> Signed | None:
        """The signed head of all that is committed; None while the log is empty or does not fit its signature."""
        return self._head

    @property
    def committed(self) -> int:
        """Entries that are on the disk."""
        return self._frontier.size

    @property
    def last_ms(self) -> int:
        """The time of the last entry (UTC ms), 0 when there is none."""
        return self._last_ms

    def news(self, seen: int) -> AuditNews | None:
        """What somebody who remembers this log at size `seen` should get; None when it knows all, or claims more."""
        size = self._frontier.size
        if self._head is None or seen == size:
            return None
        if seen > size or seen < 1:
            # It remembers more than there is: it has to see that for itself.
            return AuditNews(self._head, 0)
        try:
            return AuditNews(self._head, seen, self.consistency(seen, size))
        except StoreDamaged as error:
            log.error("the audit log cannot be proven", extra={"code": error.code})
            return AuditNews(self._head, seen)

    # What the store calls, at the end of a turn.

    def complete(self) -> None:
        """Chain, write and seal the notes of this turn. Raises as `Store.execute`."""
        if not self._notes:
            return
        frontier, link = self._frontier.copy(), self._link
        rows: list[tuple[int, bytes]] = []
        chain, at_ms = b"", 0
        for note in self._notes:
            seq = frontier.size + 1
            entry, at_ms = self._entry(note, seq, link), note.at_ms
            chain = link = entry_hash(entry)
            for level, place, digest in frontier.append(leaf_hash(entry)):
                if level >= KEPT_LEVEL:
                    self._store.execute(_NODE, (level, place, digest))
            rows.append((seq, entry))
        head = AuditHead(self.mesh, self.author, frontier.size, frontier.root(), chain, at_ms)
        seal = seal_head(head, self._signing)
        for seq, entry in rows[:-1]:
            self._store.execute(_APPEND, (seq, entry, None))
        self._store.execute(_APPEND, (*rows[-1], seal))
        self._next = (frontier, link_after(chain, seal), at_ms, signed_head(head, seal))

    def _entry(self, note: Note, seq: int, link: bytes) -> bytes:
        digest = b""
        if note.contents is not None:
            key = self._entropy.token(32)
            digest = content_digest(key, note.contents)
            self._store.execute(_KEY, (seq, note.run_id, note.at_ms, key))
        return encode(
            AuditEntry(
                seq, note.at_ms, note.kind, note.answer, note.subject[:32], note.target[:32], note.run_id, note.job_id,
                note.operation[:80], tuple(rule[:80] for rule in note.rules[:16]), note.code[:80], note.number,
                digest, link,
            )
        )  # fmt: skip

    def settle(self, kept: bool) -> None:
        """The turn was committed, or undone with all its notes."""
        if kept:
            if self._next is not None:
                self._frontier, self._link, self._last_ms, self._head = self._next
        elif self._notes:
            self.unwritten += len(self._notes)
            log.error("audit entries were undone with their turn", extra={"entries": len(self._notes)})
        self._next = None
        self._notes = []


__all__ = ["AUDIT_TABLES", "KEPT_LEVEL", "MINUTE_MS", "PAGE", "REFUSALS_MAX", "AuditLog", "AuditRows"]
