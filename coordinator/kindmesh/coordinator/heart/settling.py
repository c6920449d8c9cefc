"""Jobs that ended as `uncertain` and what was said about them since: the driver of `settle_machine`.

One row for each job that was settled, deleted with the job; whatever is said is also in the job's story and in the
audit log, in the turn that writes it. Who built on the job (runs) is told once it is on the disk.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec

from kindmesh.coordinator.heart.journal import HeartJournal, JobRow
from kindmesh.coordinator.heart.machine_job import STORY_MAX
from kindmesh.coordinator.heart.settle_machine import (
    Contradict,
    DeviceTold,
    Event,
    Note,
    PersonSaid,
    Record,
    Reject,
    SettleMachine,
    State,
    evidence,
)
from kindmesh.mesh.audit import AuditLog
from kindmesh.protocol.codec import decode, decode_value, encode
from kindmesh.protocol.errors import InvalidInput, KindmeshError, StoreConflict
from kindmesh.protocol.ids import format_time_id
from kindmesh.protocol.messages.jobs import JobResult

log = logging.getLogger("kindmesh.coordinator.heart")

NOTE_MAX: Final = 500
_OPEN: Final = (
    "SELECT job_id FROM job WHERE state = 'uncertain' AND NOT EXISTS"
    " (SELECT 1 FROM settlement WHERE settlement.job_id = job.job_id) ORDER BY seq LIMIT ?"
)
_PURPOSE: Final = b"settlement"


class Settled(msgspec.Struct, frozen=True):
    """An uncertain job was settled: `value` canonical MessagePack when its device told it, else empty."""

    job_id: bytes
    run_id: bytes
    step: int
    happened: bool
    by: str
    value: bytes = b""


class _Said(msgspec.Struct, array_like=True, frozen=True):
    note: str = ""
    value: bytes = b""


class Settler:
    """See the module. `announce` gets `{"event": "settled", ...}` for everybody who watches."""

    def __init__(
        self, journal: HeartJournal, announce: Callable[[dict[str, Any]], None], audit: AuditLog | None
    ) -> None:
        self._journal = journal
        self._store = journal.store
        self._announce = announce
        self._audit = audit
        self._listeners: list[Callable[[Settled], None]] = []

    def on_settled(self, listener: Callable[[Settled], None]) -> None:
        """Tell `listener` of every job that is settled, once that is on the disk."""
        self._listeners.append(listener)

    def unsettled(self, limit: int = 100) -> list[bytes]:
        """Ids of up to `limit` jobs that wait for somebody to look, the oldest first."""
        return [bytes(job_id) for (job_id,) in self._store.query(_OPEN, (limit,))]

    def document(self, job_id: bytes, run_id: bytes) -> dict[str, Any] | None:
        """How an uncertain job was settled, as plain data; None while nobody has said anything."""
        row = self._row(job_id)
        if row is None:
            return None
        state, by, at_ms, contradicted, sealed = row
        document: dict[str, Any] = {
            "happened": state == "happened", "by": by, "at_ms": at_ms, "contradicted": bool(contradicted),
            "note": "", "value": None,
        }  # fmt: skip
        try:
            said = decode(_Said, self._journal.unseal(run_id, sealed, _PURPOSE), limit=4 * 1024**2)
        except KindmeshError as error:
            document["note"] = error.message
        else:
            document["note"] = said.note
            document["value"] = decode_value(said.value, limit=4 * 1024**2) if said.value else None
        return document

    def settle(self, row: JobRow, *, happened: bool, by: str, note: str, now_ms: int) -> bool:
        """A person's word; False when it was settled so before. The caller waits for `store.after_sync`.

        Raises:
            InvalidInput: the job is not uncertain, or the note is too long. StoreConflict: it was settled otherwise.
            DiskFull, StoreError: nothing was written.
        """
        if row.now.state != "uncertain":
            raise InvalidInput(
                f"this job is {row.now.state}: there is nothing to settle", field="id",
                hint="kindmesh jobs --state uncertain lists those that wait.",
            )  # fmt: skip
        if len(note) > NOTE_MAX:
            raise InvalidInput(f"a note has at most {NOTE_MAX} characters", field="note")
        said = _Said(note)
        return self._handle(row, PersonSaid(happened, by), by, said, now_ms)

    def result(self, row: JobRow, device: bytes, name: str, result: JobResult, now_ms: int) -> None:
        """A late result of an uncertain job: it may settle it.

        Raises:
            DiskFull, StoreError.
        """
        had = {who for _, what, who, _ in row.now.story if what in ("placed", "moved", "second")}
        if device not in had | {row.now.device} or result.epoch > row.now.epoch:
            return
        begun = bool(result.started_ms or result.permit_id)
        latest = device == row.now.device and result.epoch == row.now.epoch
        found = evidence(result.outcome, begun=begun, latest=latest, alone=had <= {device})
        self._handle(row, DeviceTold(found, device), name, _Said("", result.value), now_ms)

    def _handle(self, row: JobRow, event: Event, by: str, said: _Said, now_ms: int) -> bool:
        known = self._row(row.facts.job_id)
        machine = SettleMachine() if known is None else SettleMachine(known[0], contradicted=bool(known[3]))
        (step,) = machine.handle(event, now_ms)
        match step:
            case Record(happened, how):
                self._record(row, Settled(*_ids(row), happened, by, said.value), how, said, now_ms)
            case Contradict(happened):
                self._contradict(row, happened, by, now_ms)
            case Reject():
                word = "happened" if machine.state == "happened" else "did not happen"
                raise StoreConflict(
                    f"it was settled before: it {word}", hint="kindmesh jobs show says by whom."
                )
            case Note():
                return False
        return True

    def _record(self, row: JobRow, done: Settled, how: str, said: _Said, now_ms: int) -> None:
        sealed = self._journal.seal(done.run_id, encode(said), _PURPOSE)
        state: State = "happened" if done.happened else "did_not_happen"
        self._store.execute(
            "INSERT INTO settlement VALUES (?, ?, ?, ?, 0, ?)", (done.job_id, state, done.by, now_ms, sealed)
        )
        word = "it happened" if done.happened else "it did not happen"
        self._tell_story(row, "settled", f"{word}, says {done.by}", now_ms)
        self._note(row, "happened" if done.happened else "did not happen", how)
        self._store.after_commit(partial(self._on_disk, done))

    def _contradict(self, row: JobRow, happened: bool, by: str, now_ms: int) -> None:
        self._store.execute("UPDATE settlement SET contradicted = 1 WHERE job_id = ?", (row.facts.job_id,))
        word = "it happened" if happened else "it did not happen"
        self._tell_story(row, "contradicted", f"{word}, says {by}", now_ms)
        self._note(row, "contradicted", "device")

    def _tell_story(self, row: JobRow, what: str, detail: str, now_ms: int) -> None:
        self._journal.add_story(row.facts.job_id, (now_ms, what, b"", detail), STORY_MAX + 10)

    def _note(self, row: JobRow, answer: str, how: str) -> None:
        if self._audit is not None:
            facts = row.facts
            self._audit.note(
                "settled", answer, run_id=facts.run_id, job_id=facts.job_id, operation=facts.operation,
                target=row.now.device, number=row.now.epoch, code=how.upper(),
            )  # fmt: skip

    def _on_disk(self, done: Settled, error: KindmeshError | None) -> None:
        if error is not None:
            log.error("a settlement was not written", extra={"code": error.code, "job": done.job_id.hex()})
            return
        self._announce(
            {
                "event": "settled", "job": format_time_id(done.job_id), "run": format_time_id(done.run_id),
                "happened": done.happened, "by": done.by,
            }
        )  # fmt: skip
        for listener in self._listeners:
            listener(done)

    def _row(self, job_id: bytes) -> Any:
        sql = "SELECT state, by, at_ms, contradicted, sealed FROM settlement WHERE job_id = ?"
        return self._store.query_one(sql, (job_id,))


def _ids(row: JobRow) -> tuple[bytes, bytes, int]:
    return row.facts.job_id, row.facts.run_id, row.facts.step


__all__ = ["NOTE_MAX", "Settled", "Settler"]
