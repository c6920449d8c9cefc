"""What a node remembers of jobs across restarts and power cuts; over `kindmesh.mesh.store`.

One row per job: its highest epoch and that attempt's state (`accepted`, `intent`, `done`), with its permit (each
permit id at most once), and, when done, the sealed result until it may be forgotten. Beside it which artifacts were
made under which job and permit (the holder's proof of who may fetch them), the stop latch and the highest policy
version seen. Arguments are never stored. Rules:
- every write takes its place in the store's turn and tells `done(None)` when it is on the disk, or why it is not;
  `full` waits for the disk itself, else for the commit;
- results are sealed with a key of this journal, bound to job and epoch, and overwritten when forgotten;
- what was not taken is never forgotten; what was taken is kept for a while, so that a job that comes again after
  that is refused by its permit's age instead.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, Literal

from kindmesh.mesh.audit import AUDIT_TABLES, AuditLog
from kindmesh.mesh.clock import Entropy
from kindmesh.mesh.event_log import EVENT_TABLES
from kindmesh.mesh.store import Migration, Row, Schema, Store
from kindmesh.node.job_events import Order, Record, WriteResult
from kindmesh.node.kept_labels import KEPT_LABEL_TABLES, LABEL_RESET_TABLES
from kindmesh.node.stream_journal import STREAM_TABLES
from kindmesh.node.ward import QUARANTINE_TABLE
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.crypto import NONCE, seal, unseal
from kindmesh.protocol.errors import KindmeshError, StoreDamaged
from kindmesh.protocol.ids import new_id
from kindmesh.protocol.limits import BODY_MAX
from kindmesh.protocol.messages.jobs import JobResult

Done = Callable[[KindmeshError | None], None]
"""Told None when it is on the disk, else why it is not."""

NODE_SCHEMA: Final = Schema(
    name="node",
    version=8,
    migrations=(
        Migration(
            1,
            (
                """CREATE TABLE jobs (
                    job_id BLOB PRIMARY KEY, epoch INTEGER NOT NULL, run_id BLOB NOT NULL, operation TEXT NOT NULL,
                    permit_id BLOB NOT NULL UNIQUE, sender BLOB NOT NULL, state TEXT NOT NULL, mode TEXT NOT NULL,
                    repeatable INTEGER NOT NULL, begun INTEGER NOT NULL DEFAULT 0,
                    started_ms INTEGER NOT NULL DEFAULT 0,
                    ended_ms INTEGER NOT NULL DEFAULT 0, outcome TEXT NOT NULL DEFAULT '', result BLOB,
                    taken INTEGER NOT NULL DEFAULT 0
                ) WITHOUT ROWID""",
                """CREATE TABLE produced (
                    job_id BLOB NOT NULL, artifact BLOB NOT NULL, made_ms INTEGER NOT NULL,
                    PRIMARY KEY (job_id, artifact)
                ) WITHOUT ROWID""",
                "CREATE TABLE latch (sender BLOB PRIMARY KEY, reason TEXT NOT NULL, first_ms INTEGER NOT NULL,"
                " last_ms INTEGER NOT NULL, times INTEGER NOT NULL) WITHOUT ROWID",
                "CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
            ),
        ),
        Migration(2, AUDIT_TABLES),
        Migration(3, EVENT_TABLES),
        Migration(4, STREAM_TABLES),
        Migration(5, ("ALTER TABLE jobs ADD COLUMN taken_ms INTEGER NOT NULL DEFAULT 0",)),
        Migration(6, (QUARANTINE_TABLE,)),
        Migration(7, KEPT_LABEL_TABLES),
        Migration(8, LABEL_RESET_TABLES),
    ),
)

_RECORD: Final = (
    "job_id, epoch, run_id, operation, permit_id, sender, state, repeatable, mode, begun, outcome, started_ms"
)
_UPSERT: Final = (
    "INSERT INTO jobs (job_id, epoch, run_id, operation, permit_id, sender, state, mode, repeatable, begun, started_ms)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (job_id) DO UPDATE SET epoch = excluded.epoch,"
    " run_id = excluded.run_id, operation = excluded.operation, permit_id = excluded.permit_id,"
    " sender = excluded.sender, state = excluded.state, mode = excluded.mode, repeatable = excluded.repeatable,"
    " begun = excluded.begun, started_ms = excluded.started_ms, ended_ms = 0, outcome = '', result = NULL, taken = 0"
)
_RESULT: Final = (
    "UPDATE jobs SET state = 'done', outcome = ?, ended_ms = ?, result = ?"
    " WHERE job_id = ? AND state != 'done'"
)


class NodeJournal:
    """`key` (32 bytes) seals results. INTENT and RESULT are noted in `audit`, in the turn that writes them; what only
    reads and is quick has one entry, its RESULT."""

    def __init__(self, store: Store, key: bytes, entropy: Entropy, audit: AuditLog | None = None) -> None:
        self.store = store
        self._audit = audit
        self._key = key
        self._entropy = entropy
        row = store.query_one("SELECT value FROM facts WHERE name = 'policy_version'")
        self.policy_version = int(row[0]) if row else 0
        self._latch: dict[bytes, tuple[str, int, int, int]] = {
            row[0]: (row[1], row[2], row[3], row[4])
            for row in store.query("SELECT sender, reason, first_ms, last_ms, times FROM latch")
        }
        self._latch_version = self._latch_saved = 0
        self.on_latch: Callable[[bytes, str], None] | None = None

    # Jobs.

    def find(self, job_id: bytes) -> Record | None:
        """What is known of a job."""
        row = self.store.query_one(f"SELECT {_RECORD} FROM jobs WHERE job_id = ?", (job_id,))  # noqa: S608
        return None if row is None else _record(row)

    def unfinished(self) -> tuple[Record, ...]:
        """Jobs that are open, and results that were not taken, oldest first: what a restart has to deal with."""
        rows = self.store.query(f"SELECT {_RECORD} FROM jobs WHERE taken = 0 ORDER BY job_id")  # noqa: S608
        return tuple(_record(row) for row in rows)

    def accept(self, order: Order, done: Done) -> None:
        """ACCEPT: the job is here, nothing has begun."""
        self._put(order, "accepted", 0, done)

    def intent(self, order: Order, now_ms: int, done: Done, args: bytes | None = None) -> None:
        """INTENT: the operation is about to begin (or, in mode shared, begins now); of its `args` the audit log keeps a
        keyed hash."""
        self._put(order, "intent", now_ms, done, args)

    def _put(
        self,
        order: Order,
        state: Literal["accepted", "intent"],
        now_ms: int,
        done: Done,
        args: bytes | None = None,
    ) -> None:
        begun = state == "intent"
        try:
            self.store.execute(_UPSERT, _row(order, state, begun, now_ms))
        except KindmeshError as error:
            done(error)
            return
        if begun and order.mode != "shared":
            self._note(order, "intent", contents=args)
        self._await(done, full=begun and order.mode == "full")

    def _note(self, order: Order, answer: str, *, code: str = "", contents: bytes | None = None) -> None:
        if self._audit is not None:
            self._audit.note(
                "effect", answer, subject=order.permit_id, target=order.sender, run_id=order.run_id,
                job_id=order.job_id, operation=order.operation, number=order.epoch, code=code, contents=contents,
            )  # fmt: skip

    def epoch(self, order: Order, result: JobResult | None = None) -> None:
        """A later epoch took over; the stored result, if any, is sealed anew for it."""
        sql, values = "UPDATE jobs SET epoch = ?, permit_id = ?, sender = ?, taken = 0", (
            order.epoch, order.permit_id, order.sender,
        )  # fmt: skip
        if result is None:
            self.store.execute(f"{sql} WHERE job_id = ?", (*values, order.job_id))
        else:
            sealed = self._seal(result)
            self.store.execute(f"{sql}, result = ? WHERE job_id = ?", (*values, sealed, order.job_id))
        self._note(order, "taken over" if result is None else "answered again")

    def result(self, step: WriteResult, result: JobResult, done: Done) -> None:
        """RESULT: how it ended, and which artifacts it made."""
        order = step.order
        ended = (step.outcome, step.ended_ms, self._seal(result), order.job_id)
        try:
            if not self.store.execute(_RESULT, ended):
                # ACCEPT or INTENT never got to the disk, so that its row is missing or belongs to an earlier epoch.
                with self.store.atomic():
                    self.store.execute(_UPSERT, _row(order, "intent", step.begun, step.started_ms))
                    self.store.execute(_RESULT, ended)
            for info in result.artifacts:
                made = (order.job_id, info.artifact, step.ended_ms)
                self.store.execute("INSERT OR REPLACE INTO produced VALUES (?, ?, ?)", made)
        except KindmeshError as error:
            done(error)
            return
        self._note(order, step.outcome, code="" if step.error is None else step.error.code)
        self._await(done, full=order.mode == "full")

    def load_result(self, job_id: bytes) -> tuple[bytes, JobResult] | None:
        """(who is to be told, the result) of a job that is done.

        Raises:
            StoreDamaged: the stored bytes are not what was written.
        """
        row = self.store.query_one("SELECT sender, result, epoch FROM jobs WHERE job_id = ?", (job_id,))
        if row is None or row[1] is None:
            return None
        sealed = bytes(row[1])
        try:
            plain = unseal(self._key, sealed[:NONCE], sealed[NONCE:], job_id + int(row[2]).to_bytes(8, "big"))
            return bytes(row[0]), decode(JobResult, plain, limit=BODY_MAX)
        except KindmeshError as error:
            raise StoreDamaged("a result in the node's journal is damaged") from error

    def untaken(self) -> list[tuple[bytes, int]]:
        """Job id and epoch of all results that were not taken yet, oldest first."""
        rows = self.store.query(
            "SELECT job_id, epoch FROM jobs WHERE taken = 0 AND state = 'done' ORDER BY job_id"
        )
        return [(bytes(row[0]), int(row[1])) for row in rows]

    def taken(self, jobs: list[tuple[bytes, int]], now_ms: int) -> None:
        """The coordinator has these results (job id, epoch), as of now."""
        self.store.executemany(
            "UPDATE jobs SET taken = 1, taken_ms = ? WHERE job_id = ? AND epoch = ? AND state = 'done'",
            [(now_ms, *job) for job in jobs],
        )

    def forget(self, before_ms: int, limit: int = 500) -> int:
        """Remove up to `limit` jobs that were made, and whose result was taken, before that; returns how many."""
        old = self.store.query(
            "SELECT job_id FROM jobs WHERE job_id < ? AND taken = 1 AND taken_ms < ? LIMIT ?",
            (new_id(before_ms, bytes(10)), before_ms, limit),
        )
        if old:
            self.store.executemany("DELETE FROM jobs WHERE job_id = ?", old)
            self.store.executemany("DELETE FROM produced WHERE job_id = ?", old)
        return len(old)

    def produced(self, job_id: bytes, artifact: bytes) -> bool:
        """Whether `artifact` (32 bytes) was made here under that job (16 bytes; empty: under any)."""
        found = self.store.query_one(
            "SELECT 1 FROM produced WHERE artifact = ? AND (? = x'' OR job_id = ?) LIMIT 1",
            (artifact, job_id, job_id),
        )
        return found is not None

    # What else survives.

    def see_policy(self, version: int) -> None:
        """Keep the highest policy version."""
        if version > self.policy_version:
            self.policy_version = version
            self.store.execute("INSERT OR REPLACE INTO facts VALUES ('policy_version', ?)", (version,))

    @property
    def stopped(self) -> bool:
        """Whether the stop latch is set."""
        return bool(self._latch)

    def stops(self) -> list[tuple[bytes, str, int, int, int]]:
        """Who set the latch: (sender, reason, first and last time in UTC ms, how often), first ones first."""
        return sorted(((sender, *rest) for sender, rest in self._latch.items()), key=lambda stop: stop[2])

    def latch(self, sender: bytes, reason: str, now_ms: int) -> bool:
        """Set the stop latch; True when it was not set before. It holds in memory even if the disk is full."""
        first = not self._latch
        self._latch_version += 1
        _, first_ms, _, times = self._latch.get(sender, (reason, now_ms, now_ms, 0))
        self._latch[sender] = (reason, first_ms, now_ms, times + 1)
        if self._audit is not None and not times:
            self._audit.note("stop", "set", target=sender)
        self.save_latch()
        if first and self.on_latch is not None:
            self.on_latch(sender, reason)
        return first

    def save_latch(self) -> None:
        """Put the latch on the disk, if what is there is older; called again as long as the disk is full."""
        version = self._latch_version
        if self._latch_saved == version:
            return
        try:
            self.store.executemany(
                "INSERT OR REPLACE INTO latch VALUES (?, ?, ?, ?, ?)",
                [(sender, *rest) for sender, rest in self._latch.items()],
            )
        except KindmeshError:
            return  # it holds in memory meanwhile, and is tried again
        self.store.after_sync(partial(self._latch_written, version))

    def _latch_written(self, version: int, error: KindmeshError | None) -> None:
        if error is None:
            self._latch_saved = version

    def reset(self) -> None:
        """Take the stop latch away; the caller has made sure that somebody is at the device."""
        self.store.execute("DELETE FROM latch")
        if self._audit is not None:
            self._audit.note("stop", "reset", number=len(self._latch))
        self.store.commit_now(durable=True)
        self._latch.clear()

    def refused(self, sender: bytes, code: str) -> None:
        """A job was refused; many alike are put together."""
        if self._audit is not None:
            self._audit.refused("job", sender, code)

    def _await(self, done: Done, *, full: bool) -> None:
        if full:
            self.store.after_sync(done)
        else:
            self.store.after_commit(done)

    def _seal(self, result: JobResult) -> bytes:
        nonce = self._entropy.token(NONCE)
        return nonce + seal(self._key, nonce, encode(result), result.job_id + result.epoch.to_bytes(8, "big"))


def look_up_job(path: Path, job_id: bytes) -> tuple[str, int, str] | None:
    """(state, epoch, outcome) of a job in another process's journal, also a dead one's; None when it is not there.

    Raises:
        StoreError and its kin: the journal cannot be read.
    """
    store = Store.open_readonly(path, NODE_SCHEMA)
    try:
        row = store.query_one("SELECT state, epoch, outcome FROM jobs WHERE job_id = ?", (job_id,))
    finally:
        store.close()
    return None if row is None else (str(row[0]), int(row[1]), str(row[2]))


def _row(order: Order, state: str, begun: bool, started_ms: int) -> tuple[object, ...]:
    return (
        order.job_id, order.epoch, order.run_id, order.operation, order.permit_id, order.sender, state, order.mode,
        order.repeatable, begun, started_ms,
    )  # fmt: skip


def _record(row: Row) -> Record:
    (
        job_id,
        epoch,
        run_id,
        operation,
        permit_id,
        sender,
        state,
        repeatable,
        mode,
        begun,
        outcome,
        started_ms,
    ) = row
    return Record(
        job_id, epoch, run_id, operation, permit_id, sender, state, bool(repeatable), mode, bool(begun), outcome,
        started_ms,
    )  # fmt: skip


__all__ = ["NODE_SCHEMA", "Done", "NodeJournal", "look_up_job"]
