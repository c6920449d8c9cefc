"""What a node does about a job: decided here, done by `executor`. Pure.

    absent -> accepting -> fetching -> intending -> running -> saving -> absent
                  |           |            |          |  ^        | ^
                  `-----------+------------'          v  |        v |
                     cancel, deadline, error -> saving  stopping  unsaved

*accepting*, *intending* and *saving* wait for the disk (ACCEPT, INTENT, RESULT), *fetching* for the inputs, *unsaved*
for a disk that is full. An attempt is named by its job and the epoch it began with. These rules always hold:

- Nothing runs before its INTENT is on the disk. One exception: mode "shared", for what only reads and ends at once,
  begins while its INTENT is being written; if that fails, it is refused and what it read is thrown away.
- A result is reported only after it was written; until it was taken it is reported again and again.
- The same job and epoch never runs twice: it is answered from the journal. A lower epoch is refused (`PermitStale`).
- A higher epoch takes over what already runs here. What may not be done twice and was begun is never begun again: the
  stored answer serves every later epoch.
- INTENT without RESULT after a restart is `interrupted` if doing it again is the same as doing it once, else
  `uncertain`. What was only accepted is always `interrupted`.
- An ending that leaves open whether it happened (a crash, a deadline, a bug) of what may not be done twice is
  `uncertain`, never `failed`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec

from kindmesh.node.job_events import (
    AcceptWritten,
    Acknowledge,
    CancelAsked,
    DeadlinePassed,
    Event,
    Failed,
    Fetch,
    Finished,
    InputsReady,
    Instruction,
    IntentWritten,
    JobArrived,
    Order,
    Record,
    Refuse,
    Relation,
    Report,
    Restarted,
    ResultWriteFailed,
    ResultWritten,
    RetryDue,
    RetryLater,
    Run,
    State,
    StopWork,
    WriteAccept,
    WriteEpoch,
    WriteFailed,
    WriteIntent,
    WriteResult,
)
from kindmesh.protocol.errors import (
    Busy,
    CapabilityCrashed,
    DeadlineExceeded,
    InternalError,
    Interrupted,
    InvalidTransition,
    KindmeshError,
    PermitStale,
    PermitUsed,
    Uncertain,
)
from kindmesh.protocol.ids import format_time_id
from kindmesh.protocol.messages.jobs import Outcome

_STORY_MAX: Final = 24
_OPEN_ENDED: Final = (CapabilityCrashed, DeadlineExceeded, InternalError, Interrupted)
"""Errors that do not say whether it happened."""


class _Entry:
    """One open attempt; a move that leaves it `absent` closes it."""

    __slots__ = (
        "accepted",
        "attempt",
        "begun",
        "on_disk",
        "order",
        "result",
        "started_ms",
        "state",
        "story",
        "why",
    )

    def __init__(self, order: Order, state: State, attempt: int) -> None:
        self.order = order
        self.attempt = attempt
        self.state: State = state
        self.accepted = self.on_disk = self.begun = False
        self.started_ms = 0
        self.why: KindmeshError | None = None
        self.result: list[Instruction] = []
        self.story: list[str] = []


_Move: TypeAlias = Callable[[_Entry, Any, int], list[Instruction]]


class JobMachine:
    """All open jobs of one node. `handle` takes an event and this node's time (UTC ms), returns what to do now."""

    def __init__(self) -> None:
        self._open: dict[bytes, _Entry] = {}
        self._attempts = 0

    def __len__(self) -> int:
        return len(self._open)

    def state(self, job_id: bytes) -> State:
        """Where a job stands; `absent` when it is not open here."""
        entry = self._open.get(job_id)
        return "absent" if entry is None else entry.state

    def open_jobs(self) -> list[tuple[Order, int, State]]:
        """Order, attempt and state of every open job."""
        return [(entry.order, entry.attempt, entry.state) for entry in self._open.values()]

    def find(self, job_id: bytes) -> tuple[Order, int] | None:
        """The order and attempt of an open job."""
        entry = self._open.get(job_id)
        return None if entry is None else (entry.order, entry.attempt)

    def relation(self, job_id: bytes, epoch: int, known: Record | None) -> Relation:
        """How a job that came relates to what is known: `new` and `takeover` need a permit that is valid now,
        `repeat` and `answered` get the stored answer."""
        entry = self._open.get(job_id)
        if entry is not None:
            at = entry.order.epoch
            return "stale" if epoch < at else "repeat" if epoch == at else "takeover"
        if known is None:
            return "new"
        if epoch < known.epoch:
            return "stale"
        if known.state != "done":
            return "new"
        if epoch == known.epoch:
            return "repeat"
        final = known.outcome == "succeeded" or (known.begun and not known.repeatable)
        return "answered" if final else "new"

    def handle(self, event: Event, now_ms: int) -> list[Instruction]:
        """What to do about `event`.

        Raises:
            InvalidTransition: the table does not have it; a bug.
        """
        if isinstance(event, JobArrived):
            return self._arrived(event, now_ms)
        if isinstance(event, Restarted):
            return [step for record in event.records for step in self._restarted(record, now_ms)]
        entry = self._open.get(event.job_id)
        if entry is not None and entry.attempt != event.attempt:
            entry = None
        state: State = "absent" if entry is None else entry.state
        move = _TABLE.get((state, type(event)))
        if move is None:
            what = f"job {format_time_id(event.job_id)}: {type(event).__name__} in state {state}"
            raise InvalidTransition(what, story=tuple(entry.story) if entry is not None else ())
        if entry is None:
            return []
        if len(entry.story) < _STORY_MAX:
            entry.story.append(f"{state}+{type(event).__name__}")
        steps = move(entry, event, now_ms)
        if entry.state == "absent":
            del self._open[event.job_id]
        return steps

    def validate(self) -> None:
        """Raise `InternalError` when a rule of this module is broken; tests call it after every event."""
        for job_id, entry in self._open.items():
            working = entry.state in ("running", "stopping")
            broken = (
                entry.order.job_id != job_id
                or entry.state == "absent"
                or not 0 < entry.attempt <= self._attempts
                or (working and not (entry.begun and (entry.on_disk or entry.order.mode == "shared")))
                or (entry.state in ("saving", "unsaved")) != bool(entry.result)
                or (entry.state == "stopping" and entry.why is None)
            )
            if broken:
                raise InternalError(
                    f"job {format_time_id(job_id)} breaks a rule in {entry.state}: {entry.story}"
                )

    def _arrived(self, event: JobArrived, now_ms: int) -> list[Instruction]:
        order, known = event.order, event.known
        entry = self._open.get(order.job_id)
        relation = self.relation(order.job_id, order.epoch, known)
        if relation == "stale":
            return [
                Refuse(order, PermitStale("a later attempt of this job was already given to this device"))
            ]
        if relation == "repeat":
            permit_id = (
                entry.order.permit_id if entry is not None else known.permit_id if known is not None else b""
            )
            if order.permit_id != permit_id:
                return [Refuse(order, PermitUsed("another permit was already used for this attempt"))]
            return [Report(order.job_id)] if entry is None else _repeated(entry, order)
        if relation == "takeover" and entry is not None:
            return _taken_over(entry, order)
        if relation == "answered":
            return [WriteEpoch(order), Report(order.job_id)]
        return self._begin(order, now_ms)

    def _begin(self, order: Order, now_ms: int) -> list[Instruction]:
        if order.deadline_ms <= now_ms:
            return [Refuse(order, DeadlineExceeded("it came after its deadline; nothing was done"))]
        if order.fetch:
            return [WriteAccept(order, self._enter(order, "accepting").attempt)]
        if order.mode != "shared":
            return [WriteIntent(order, self._enter(order, "intending").attempt)]
        entry = self._enter(order, "running")
        entry.begun, entry.started_ms = True, now_ms
        return [Run(order, entry.attempt), WriteIntent(order, entry.attempt)]

    def _enter(self, order: Order, state: State) -> _Entry:
        self._attempts += 1
        entry = self._open[order.job_id] = _Entry(order, state, self._attempts)
        return entry

    def _restarted(self, record: Record, now_ms: int) -> list[Instruction]:
        if record.state == "done":
            return [Report(record.job_id)]
        order = Order(
            record.job_id, record.epoch, record.run_id, record.operation, record.permit_id, record.sender, 0,
            record.mode, record.repeatable,
        )  # fmt: skip
        entry = self._enter(order, "saving")
        entry.begun = entry.on_disk = record.state == "intent"
        entry.started_ms = record.started_ms
        entry.story.append(f"restarted in {record.state}")
        if entry.begun and not record.repeatable:
            return _save(
                entry, "uncertain", now_ms, error=_uncertain("the device was restarted in the middle")
            )
        why = Interrupted("the device was restarted before it was done; nothing was changed")
        return _save(entry, "interrupted", now_ms, error=why)


# Jobs that came again.


def _repeated(entry: _Entry, order: Order) -> list[Instruction]:
    if entry.result or not (entry.accepted or entry.on_disk):
        return []
    return [Acknowledge(order, "running" if entry.begun else "accepted")]


def _taken_over(entry: _Entry, order: Order) -> list[Instruction]:
    if entry.result or entry.state == "stopping":
        return [Refuse(order, Busy("an earlier attempt of this job is just ending here", hint="Ask again."))]
    entry.story.append(f"{entry.state}+epoch {order.epoch}")
    # How the attempt began decides how it ends: only who is answered, under which epoch and permit, changes.
    entry.order = msgspec.structs.replace(
        entry.order, epoch=order.epoch, permit_id=order.permit_id, sender=order.sender
    )
    steps: list[Instruction] = [WriteEpoch(entry.order)]
    if entry.accepted or entry.on_disk:
        steps.append(Acknowledge(entry.order, "running" if entry.begun else "accepted"))
    return steps


# The moves of the table.


def _accept_written(entry: _Entry, event: AcceptWritten, now_ms: int) -> list[Instruction]:
    entry.state, entry.accepted = "fetching", True
    return [Acknowledge(entry.order, "accepted"), Fetch(entry.order, entry.attempt)]


def _inputs_ready(entry: _Entry, event: InputsReady, now_ms: int) -> list[Instruction]:
    entry.state = "intending"
    return [WriteIntent(entry.order, entry.attempt)]


def _intent_written(entry: _Entry, event: IntentWritten, now_ms: int) -> list[Instruction]:
    entry.on_disk = True
    acknowledge = Acknowledge(entry.order, "running", soon=True)
    if entry.begun:
        return [acknowledge]
    entry.state, entry.begun, entry.started_ms = "running", True, now_ms
    return [Run(entry.order, entry.attempt), acknowledge]


def _late_intent_written(entry: _Entry, event: IntentWritten, now_ms: int) -> list[Instruction]:
    entry.on_disk = True
    return []


def _write_failed(entry: _Entry, event: WriteFailed, now_ms: int) -> list[Instruction]:
    """Nothing was promised yet: refused. What began on credit is stopped, and what it read is thrown away."""
    working = entry.state in ("running", "stopping")
    entry.state = "absent"
    work = StopWork(entry.order.job_id, entry.attempt, abandon=True)
    refusal = Refuse(entry.order, event.error)
    return [work, refusal] if working else [refusal]


def _late_write_failed(entry: _Entry, event: WriteFailed, now_ms: int) -> list[Instruction]:
    """ACCEPT or INTENT of what has ended meanwhile: only what was begun on credit is refused."""
    return _write_failed(entry, event, now_ms) if entry.begun and not entry.on_disk else []


def _finished(entry: _Entry, event: Finished, now_ms: int) -> list[Instruction]:
    return _save(entry, "succeeded", now_ms, value=event.value)


def _failed(entry: _Entry, event: Failed, now_ms: int) -> list[Instruction]:
    return _end(entry, event.error, now_ms)


def _cancel(entry: _Entry, event: CancelAsked, now_ms: int) -> list[Instruction]:
    entry.why = event.error
    if entry.begun:
        entry.state = "stopping"
        return [StopWork(entry.order.job_id, entry.attempt, abandon=False)]
    return _abandon(entry, event.error, now_ms)


def _deadline(entry: _Entry, event: DeadlinePassed, now_ms: int) -> list[Instruction]:
    return _abandon(entry, DeadlineExceeded("it took longer than allowed and was stopped"), now_ms)


def _abandon(entry: _Entry, error: KindmeshError, now_ms: int) -> list[Instruction]:
    return [StopWork(entry.order.job_id, entry.attempt, abandon=True), *_end(entry, error, now_ms)]


def _result_written(entry: _Entry, event: ResultWritten, now_ms: int) -> list[Instruction]:
    entry.state = "absent"
    return [Report(entry.order.job_id)]


def _result_lost(entry: _Entry, event: ResultWriteFailed, now_ms: int) -> list[Instruction]:
    entry.state = "unsaved"
    return [RetryLater(entry.order.job_id, entry.attempt)]


def _retry(entry: _Entry, event: RetryDue, now_ms: int) -> list[Instruction]:
    entry.state = "saving"
    return entry.result


def _ignore(entry: _Entry, event: Event, now_ms: int) -> list[Instruction]:
    """Late news about something that is settled."""
    return []


def _end(entry: _Entry, error: KindmeshError, now_ms: int) -> list[Instruction]:
    """The outcome of an attempt that did not succeed; somebody's wish to end it comes before how it ended."""
    why = entry.why
    if why is not None and not isinstance(why, Interrupted):
        if entry.begun and not entry.order.repeatable:
            why = type(why)(f"{why.message}; it had begun, part of it may have been done", hint=why.hint)
        return _save(entry, "cancelled", now_ms, error=why)
    error = why or error
    if entry.begun and not entry.order.repeatable and isinstance(error, _OPEN_ENDED):
        return _save(entry, "uncertain", now_ms, error=_uncertain(error.message))
    return _save(entry, "interrupted" if isinstance(error, Interrupted) else "failed", now_ms, error=error)


def _save(
    entry: _Entry, outcome: Outcome, now_ms: int, *, value: bytes = b"", error: KindmeshError | None = None
) -> list[Instruction]:
    entry.state = "saving"
    entry.result = [
        WriteResult(entry.order, entry.attempt, outcome, entry.begun, entry.started_ms, now_ms, value, error)
    ]
    return entry.result


def _uncertain(cause: str) -> Uncertain:
    return Uncertain(f"it may or may not have happened: {cause}")


_TABLE: Final[dict[tuple[State, type], _Move]] = {
    ("accepting", AcceptWritten): _accept_written,
    ("accepting", WriteFailed): _write_failed,
    ("accepting", CancelAsked): _cancel,
    ("accepting", DeadlinePassed): _deadline,
    ("fetching", InputsReady): _inputs_ready,
    ("fetching", Failed): _failed,
    ("fetching", CancelAsked): _cancel,
    ("fetching", DeadlinePassed): _deadline,
    ("intending", IntentWritten): _intent_written,
    ("intending", WriteFailed): _write_failed,
    ("intending", CancelAsked): _cancel,
    ("intending", DeadlinePassed): _deadline,
    ("running", IntentWritten): _intent_written,
    ("running", WriteFailed): _write_failed,
    ("running", Finished): _finished,
    ("running", Failed): _failed,
    ("running", CancelAsked): _cancel,
    ("running", DeadlinePassed): _deadline,
    ("stopping", IntentWritten): _late_intent_written,
    ("stopping", WriteFailed): _write_failed,
    ("stopping", Finished): _finished,
    ("stopping", Failed): _failed,
    ("stopping", CancelAsked): _ignore,
    ("stopping", DeadlinePassed): _deadline,
    ("saving", AcceptWritten): _ignore,
    ("saving", IntentWritten): _late_intent_written,
    ("saving", WriteFailed): _late_write_failed,
    ("saving", CancelAsked): _ignore,
    ("saving", DeadlinePassed): _ignore,
    ("saving", ResultWritten): _result_written,
    ("saving", ResultWriteFailed): _result_lost,
    ("unsaved", AcceptWritten): _ignore,
    ("unsaved", IntentWritten): _late_intent_written,
    ("unsaved", WriteFailed): _late_write_failed,
    ("unsaved", CancelAsked): _ignore,
    ("unsaved", DeadlinePassed): _ignore,
    ("unsaved", RetryDue): _retry,
    # An attempt that was settled while the disk or the capability was still busy with it.
    ("absent", AcceptWritten): _ignore,
    ("absent", IntentWritten): _ignore,
    ("absent", WriteFailed): _ignore,
    ("absent", CancelAsked): _ignore,
    ("absent", ResultWritten): _ignore,
    ("absent", ResultWriteFailed): _ignore,
}

__all__ = ["JobMachine"]
