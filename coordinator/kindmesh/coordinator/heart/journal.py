"""The coordinator's journal of jobs, over `kindmesh.mesh.store`: one row for each job.

The row *is* the outbox, the lease and the timer: an open job with a device is a message that has to reach it, under
that epoch, before that deadline. What a job is given and what came of it are sealed with the key of its run; deleting
that key (`forget`) makes them unreadable. The story, the operation and the device are kept in the clear: they tell what
was done, by whom and when, not what was said.
Written at once, before anything follows from it: submit, lease, question, ending. Written when convenient (`save`):
what can be learned again by asking the device: the story in between, and the permit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from kindmesh.coordinator.brain.desk.tables import DESK_TABLES
from kindmesh.coordinator.heart.dead_letters import DEAD_TABLES
from kindmesh.coordinator.heart.machine_words import Lease, State, StoryEntry
from kindmesh.coordinator.heart.run_tables import RUN_TABLES
from kindmesh.coordinator.heart.schedules.tables import SCHEDULE_TABLES
from kindmesh.mesh.audit import AUDIT_TABLES
from kindmesh.mesh.event_log import EVENT_TABLES
from kindmesh.mesh.store import Migration, Schema, Store
from kindmesh.mesh.vault import RUN_KEY_TABLE, RunVault
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.errors import WireError
from kindmesh.protocol.messages.jobs import ArtifactInfo, Priority
from kindmesh.protocol.principal import OWNER, Principal
from kindmesh.protocol.roles import Purpose
from kindmesh.protocol.signed import Signed, signed_from_bytes, signed_to_bytes
from kindmesh.protocol.utterance_evidence import ArgumentLabel, Evidence

DRAIN_TABLE: Final = (
    "CREATE TABLE drain (device BLOB PRIMARY KEY, by TEXT NOT NULL, reason TEXT NOT NULL, since_ms INTEGER NOT NULL)"
    " WITHOUT ROWID"
)
SETTLE_TABLES: Final = (
    "CREATE TABLE settlement (job_id BLOB PRIMARY KEY, state TEXT NOT NULL, by TEXT NOT NULL, at_ms INTEGER NOT NULL,"
    " contradicted INTEGER NOT NULL DEFAULT 0, sealed BLOB NOT NULL) WITHOUT ROWID",
    "CREATE INDEX job_uncertain ON job (seq) WHERE state = 'uncertain'",
    "CREATE TRIGGER settlement_gone AFTER DELETE ON job BEGIN DELETE FROM settlement WHERE job_id = old.job_id; END",
)
KEEPING_INDEXES: Final = (
    "CREATE INDEX artifact_job ON artifact (job_id)",
    # Most jobs are a run of their own, and cost nothing here.
    "CREATE INDEX job_of_run ON job (run_id) WHERE run_id != job_id",
)
"""For removing what is over (see `retention`)."""
HEART_SCHEMA: Final = Schema(
    name="coordinator",
    version=9,
    migrations=(
        Migration(
            1,
            (
                RUN_KEY_TABLE,
                """CREATE TABLE job (
                    seq INTEGER PRIMARY KEY, job_id BLOB NOT NULL UNIQUE, run_id BLOB NOT NULL, step INTEGER NOT NULL,
                    key TEXT, operation TEXT NOT NULL, principal TEXT NOT NULL, priority TEXT NOT NULL,
                    effects INTEGER NOT NULL, idempotent INTEGER NOT NULL, full INTEGER NOT NULL,
                    submitted_ms INTEGER NOT NULL, budget_ms INTEGER NOT NULL, deadline_ms INTEGER NOT NULL,
                    state TEXT NOT NULL, lease TEXT NOT NULL, device BLOB NOT NULL, epoch INTEGER NOT NULL,
                    ended_ms INTEGER NOT NULL DEFAULT 0, request BLOB NOT NULL, permit BLOB, question BLOB,
                    ending BLOB, story BLOB NOT NULL
                )""",
                "CREATE INDEX job_open ON job (seq) WHERE ended_ms = 0",
                "CREATE UNIQUE INDEX job_key ON job (key) WHERE key IS NOT NULL",
                "CREATE TABLE artifact (artifact BLOB NOT NULL, holder BLOB NOT NULL, size_bytes INTEGER NOT NULL,"
                " media_type TEXT NOT NULL, job_id BLOB NOT NULL, PRIMARY KEY (artifact, holder, job_id))"
                " WITHOUT ROWID",
                "CREATE TABLE advert (device BLOB PRIMARY KEY, advert BLOB NOT NULL) WITHOUT ROWID",
            ),
        ),
        Migration(2, AUDIT_TABLES),
        Migration(3, (*SETTLE_TABLES, *DEAD_TABLES)),
        Migration(4, KEEPING_INDEXES),
        Migration(5, EVENT_TABLES),
        Migration(6, SCHEDULE_TABLES),
        Migration(7, (DRAIN_TABLE,)),
        Migration(8, RUN_TABLES),
        Migration(9, DESK_TABLES),
    ),
)

_COLUMNS: Final = (
    "seq, job_id, run_id, step, key, operation, principal, priority, effects, idempotent, full, submitted_ms,"
    " budget_ms, deadline_ms, state, lease, device, epoch, ended_ms, request, permit, question, ending, story"
)
_SELECT: Final = f"SELECT {_COLUMNS} FROM job "  # noqa: S608
_INSERT: Final = (
    "INSERT INTO job (job_id, run_id, step, key, operation, principal, priority, effects, idempotent, full,"
    " submitted_ms, budget_ms, deadline_ms, state, lease, device, epoch, request, story)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_SAVE: Final = (
    "UPDATE job SET state = ?, lease = ?, device = ?, epoch = ?, deadline_ms = ?, permit = ?, question = ?, story = ?"
    " WHERE job_id = ? AND ended_ms = 0"
)
_END: Final = (
    "UPDATE job SET state = ?, lease = 'none', device = ?, epoch = ?, deadline_ms = ?, permit = ?, question = NULL,"
    " story = ?, ending = ?, ended_ms = ? WHERE job_id = ? AND ended_ms = 0"
)
_ARTIFACT: Final = "INSERT OR REPLACE INTO artifact VALUES (?, ?, ?, ?, ?)"
_ADVERT: Final = "INSERT OR REPLACE INTO advert VALUES (?, ?)"
_REQUEST, _QUESTION, _ENDING = b"request", b"question", b"ending"

_encode_story = msgspec.msgpack.Encoder().encode
_decode_story = msgspec.msgpack.Decoder(list[StoryEntry]).decode


class JobRequest(msgspec.Struct, array_like=True, frozen=True):
    """What a job is given, sealed: `args` canonical MessagePack, `target` a device id or empty, who has the files; who
    asks, what for, and a person's signature over it; of a sub-run's job, the permit that its own chains to; `hedge_ms`
    after how long a second device may try it, too; where the parts of `args` came from, what proves it, and what was
    said against it ahead."""

    args: bytes
    target: bytes = b""
    sources: tuple[ArtifactInfo, ...] = ()
    principal: Principal = OWNER
    purpose: Purpose = "household"
    proof: Signed | None = None
    parent: Signed | None = None
    hedge_ms: int = -1
    labels: tuple[ArgumentLabel, ...] = ()
    evidence: Evidence | None = None
    doubts: tuple[str, ...] = ()


class Ending(msgspec.Struct, array_like=True, frozen=True):
    """What came of it, sealed: `value` canonical MessagePack when it succeeded, the device that did it (or empty), its
    own times (UTC ms, 0: it did not begin), and its signed receipt (`protocol.receipt`), or empty."""

    value: bytes = b""
    error: WireError | None = None
    artifacts: tuple[ArtifactInfo, ...] = ()
    device: bytes = b""
    permit_id: bytes = b""
    started_ms: int = 0
    ended_ms: int = 0
    receipt: bytes = b""


class JobFacts(msgspec.Struct, frozen=True):
    """What never changes about a job and may be read by anyone who may read the journal; `principal` as
    `principal_text` writes it."""

    job_id: bytes
    run_id: bytes
    step: int
    key: str | None
    operation: str
    principal: str
    priority: Priority
    effects: int
    idempotent: bool
    full: bool
    submitted_ms: int
    budget_ms: int


class Progress(msgspec.Struct, frozen=True):
    """What changes about a job, as of now; `question` are the bytes of the `ApprovalRequest` that waits, or empty."""

    state: State
    lease: Lease
    device: bytes
    epoch: int
    deadline_ms: int
    permit: Signed | None
    question: bytes
    story: list[StoryEntry]


class JobRow(msgspec.Struct, frozen=True):
    """A job as the journal has it; `request`, `question` and `ending` still sealed, `now.question` empty. `ended_ms` is
    0 while it is open."""

    facts: JobFacts
    now: Progress
    ended_ms: int
    request: bytes
    question: bytes | None
    ending: bytes | None


class Finished(NamedTuple):
    """A job as far as keeping it is concerned; `seq` counts up with every job, `ended_ms` is 0 while it is open."""

    seq: int
    job_id: bytes
    run_id: bytes
    state: str
    ended_ms: int


class HeartJournal:
    """See the module. Every write joins the store's turn; the caller waits for `store.after_commit` or `after_sync`."""

    def __init__(self, store: Store, vault: RunVault) -> None:
        self.store = store
        self._vault = vault

    def submit(self, facts: JobFacts, request: JobRequest, now: Progress) -> None:
        """A new job.

        Raises:
            StoreConflict: its idempotency key is taken.
            DiskFull, StoreError: nothing was written.
        """
        sealed = self._vault.seal(facts.run_id, encode(request), _REQUEST)
        self.store.execute(
            _INSERT,
            (
                facts.job_id, facts.run_id, facts.step, facts.key, facts.operation, facts.principal, facts.priority,
                facts.effects, facts.idempotent, facts.full, facts.submitted_ms, facts.budget_ms, now.deadline_ms,
                now.state, now.lease, now.device, now.epoch, sealed, _encode_story(now.story),
            ),
        )  # fmt: skip

    def save(self, facts: JobFacts, now: Progress) -> None:
        """How an open job stands.

        Raises:
            DiskFull, StoreError.
        """
        permit = None if now.permit is None else signed_to_bytes(now.permit)
        question = self._vault.seal(facts.run_id, now.question, _QUESTION) if now.question else None
        self.store.execute(
            _SAVE,
            (now.state, now.lease, now.device, now.epoch, now.deadline_ms, permit, question, _encode_story(now.story),
             facts.job_id),
        )  # fmt: skip

    def end(self, facts: JobFacts, now: Progress, ending: Ending, ended_ms: int) -> bool:
        """The job has ended; False if it had ended before (then nothing is changed).

        Raises:
            DiskFull, StoreError.
        """
        sealed = self._vault.seal(facts.run_id, encode(ending), _ENDING)
        permit = None if now.permit is None else signed_to_bytes(now.permit)
        values = (
            now.state, now.device, now.epoch, now.deadline_ms, permit, _encode_story(now.story), sealed, ended_ms,
            facts.job_id,
        )  # fmt: skip
        first = self.store.execute(_END, values) > 0
        if first:
            for made in ending.artifacts:
                self.learn(made, facts.job_id)
        return first

    def learn(self, artifact: ArtifactInfo, job_id: bytes) -> None:
        """Somebody holds an artifact."""
        row = (artifact.artifact, artifact.holder, artifact.size_bytes, artifact.media_type, job_id)
        self.store.execute(_ARTIFACT, row)

    def holders(self, artifact: bytes) -> list[ArtifactInfo]:
        """Who is known to hold an artifact."""
        sql = "SELECT DISTINCT artifact, size_bytes, media_type, holder FROM artifact WHERE artifact = ?"
        return [ArtifactInfo(*row) for row in self.store.query(sql, (artifact,))]

    def makers(self, artifact: bytes) -> frozenset[str]:
        """For whom an artifact was made: the principals of the jobs that did."""
        sql = "SELECT DISTINCT principal FROM artifact JOIN job USING (job_id) WHERE artifact = ?"
        return frozenset(principal for (principal,) in self.store.query(sql, (artifact,)))

    def add_story(self, job_id: bytes, entry: StoryEntry, limit: int) -> None:
        """Something happened after a job's end, such as a late result; nothing beyond `limit` lines."""
        row = self.load(job_id)
        if row is not None and len(row.now.story) < limit:
            story = _encode_story([*row.now.story, entry])
            self.store.execute("UPDATE job SET story = ? WHERE job_id = ?", (story, job_id))

    def keep_advert(self, device: bytes, advert: Signed) -> None:
        """The last advert of a device."""
        self.store.execute(_ADVERT, (device, signed_to_bytes(advert)))

    def adverts(self) -> list[tuple[bytes, Signed]]:
        """(device id, its last advert)."""
        rows = self.store.query("SELECT device, advert FROM advert ORDER BY device")
        return [(device, signed_from_bytes(advert)) for device, advert in rows]

    def load(self, job_id: bytes) -> JobRow | None:
        """One job."""
        found = self.store.query_one(f"{_SELECT} WHERE job_id = ?", (job_id,))
        return None if found is None else _row(found)

    def between(self, first: bytes, last: bytes, limit: int, principal: str = "") -> list[bytes]:
        """Ids of up to `limit` jobs from `first` to `last` (16 bytes, both included); `principal` as in `recent`."""
        mine = " AND (principal = ? OR principal LIKE ?)" if principal else ""
        sql = f"SELECT job_id FROM job WHERE job_id BETWEEN ? AND ?{mine} ORDER BY job_id LIMIT ?"  # noqa: S608
        whose = (principal, f"% for {principal}") if principal else ()
        return [bytes(job_id) for (job_id,) in self.store.query(sql, (first, last, *whose, limit))]

    def find_key(self, key: str) -> JobRow | None:
        """The job submitted with this idempotency key."""
        found = self.store.query_one(f"{_SELECT} WHERE key = ?", (key,))
        return None if found is None else _row(found)

    def open_jobs(self) -> list[JobRow]:
        """All that have not ended, oldest first."""
        return [_row(found) for found in self.store.query(f"{_SELECT} WHERE ended_ms = 0 ORDER BY seq")]

    def recent(self, limit: int, state: str = "", principal: str = "") -> list[JobRow]:
        """The newest jobs first; only those in `state`, and of `principal` (its text) or of what acts for it."""
        terms, values = [], []
        if state:
            terms.append("state = ?")
            values.append(state)
        if principal:
            terms.append("(principal = ? OR principal LIKE ?)")
            values += [principal, f"% for {principal}"]
        where = f"WHERE {' AND '.join(terms)}" if terms else ""
        sql = f"{_SELECT} {where} ORDER BY seq DESC LIMIT ?"
        return [_row(found) for found in self.store.query(sql, (*values, limit))]

    def request(self, row: JobRow) -> JobRequest:
        """What the job was given.

        Raises:
            Forgotten: the run's key was deleted.
            BadSeal, Malformed: the row was changed by somebody.
        """
        return decode(JobRequest, self._vault.unseal(row.facts.run_id, row.request, _REQUEST), limit=_ANY)

    def question(self, row: JobRow) -> bytes:
        """The bytes of the `ApprovalRequest` that waits, or empty; raises as `request`."""
        return b"" if row.question is None else self._vault.unseal(row.facts.run_id, row.question, _QUESTION)

    def ending(self, row: JobRow) -> Ending | None:
        """What came of the job, None while it is open; raises as `request`."""
        if row.ending is None:
            return None
        return decode(Ending, self._vault.unseal(row.facts.run_id, row.ending, _ENDING), limit=_ANY)

    def seal(self, run_id: bytes, data: bytes, purpose: bytes) -> bytes:
        """`data` sealed with the key of a run: for what else is kept about its jobs."""
        return self._vault.seal(run_id, data, purpose)

    def unseal(self, run_id: bytes, sealed: bytes, purpose: bytes) -> bytes:
        """What was sealed so; raises as `request`."""
        return self._vault.unseal(run_id, sealed, purpose)

    def after(self, seq: int, limit: int) -> list[Finished]:
        """Up to `limit` jobs after that number, the oldest first, as far as keeping them is concerned."""
        sql = "SELECT seq, job_id, run_id, state, ended_ms FROM job WHERE seq > ? ORDER BY seq LIMIT ?"
        return [Finished(*row) for row in self.store.query(sql, (seq, limit))]

    def newest(self) -> int:
        """The number of the newest job; 0 when there is none."""
        row = self.store.query_one("SELECT max(seq) FROM job")
        return 0 if row is None or row[0] is None else int(row[0])

    def count(self) -> tuple[int, int]:
        """How many jobs there are, and when the oldest was submitted (UTC ms; 0: there is none)."""
        row = self.store.query_one("SELECT count(*) FROM job")
        oldest = self.store.query_one("SELECT submitted_ms FROM job ORDER BY seq LIMIT 1")
        return int(row[0]) if row else 0, int(oldest[0]) if oldest else 0

    def remove(self, jobs: Sequence[Finished]) -> None:
        """Remove finished jobs with their artifacts, and the keys of runs of which no job is left: all or none.

        Raises:
            DiskFull, StoreError: nothing was removed.
        """
        with self.store.atomic():
            for job in jobs:
                self.store.execute("DELETE FROM artifact WHERE job_id = ?", (job.job_id,))
                self.store.execute("DELETE FROM job WHERE job_id = ? AND ended_ms > 0", (job.job_id,))
            runs = dict.fromkeys(job.run_id for job in jobs)
            self._vault.forget_all([run_id for run_id in runs if not self._has_jobs(run_id)])

    def _has_jobs(self, run_id: bytes) -> bool:
        sql = (
            "SELECT 1 FROM job WHERE job_id = ? UNION ALL"
            " SELECT 1 FROM job WHERE run_id = ? AND run_id != job_id LIMIT 1"
        )
        return self.store.query_one(sql, (run_id, run_id)) is not None

    def forget(self, run_id: bytes) -> bool:
        """Make what the jobs of a run were given and gave unreadable; False when there was no such run."""
        return self._vault.forget(run_id)


_ANY: Final = 4 * 1024**2


def _row(row: tuple[Any, ...]) -> JobRow:
    (_, job_id, run_id, step, key, operation, principal, priority, effects, idempotent, full, submitted_ms, budget_ms,
     deadline_ms, state, lease, device, epoch, ended_ms, request, permit, question, ending, story) = row  # fmt: skip
    facts = JobFacts(
        job_id, run_id, step, key, operation, principal, priority, effects, bool(idempotent), bool(full), submitted_ms,
        budget_ms,
    )  # fmt: skip
    signed = None if permit is None else signed_from_bytes(permit)
    now = Progress(state, lease, device, epoch, deadline_ms, signed, b"", _decode_story(story))
    return JobRow(facts, now, ended_ms, request, question, ending)


__all__ = [
    "HEART_SCHEMA",
    "Ending",
    "Finished",
    "HeartJournal",
    "JobFacts",
    "JobRequest",
    "JobRow",
    "Progress",
]
