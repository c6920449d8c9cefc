"""Does what the job machine decides: the driver between the mesh, the journal and the capabilities.

A job that arrives is judged once (`intake`); only then is it an order for the machine. What it decides is written
(`journal`), run (`attempts`) and told (`reporter`), each at once: nothing is awaited between a message and its
instructions, so that all messages of one loop turn share one commit.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec

from kindmesh.mesh.artifacts import ArtifactStore
from kindmesh.mesh.clock import Clock
from kindmesh.mesh.endpoint import Endpoint
from kindmesh.mesh.exchange import Exchange
from kindmesh.mesh.trust import Trust
from kindmesh.node.admission import Room
from kindmesh.node.attempts import Attempts
from kindmesh.node.gate import is_halted
from kindmesh.node.intake import Intake
from kindmesh.node.job_events import (
    AcceptWritten,
    Acknowledge,
    CancelAsked,
    DeadlinePassed,
    Event,
    Fetch,
    Instruction,
    IntentWritten,
    Order,
    Refuse,
    Report,
    Restarted,
    ResultWriteFailed,
    ResultWritten,
    RetryDue,
    RetryLater,
    Run,
    StopWork,
    WriteAccept,
    WriteEpoch,
    WriteFailed,
    WriteIntent,
    WriteResult,
)
from kindmesh.node.journal import NodeJournal
from kindmesh.node.machine import JobMachine
from kindmesh.node.receipts import Receipts
from kindmesh.node.reporter import Reporter
from kindmesh.node.supervisor import Supervisor
from kindmesh.node.work import Work, job_result
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.envelope import Envelope
from kindmesh.protocol.errors import (
    Busy,
    Cancelled,
    Interrupted,
    KindmeshError,
    Stopped,
    TransportError,
    error_to_wire,
)
from kindmesh.protocol.ids import short_id
from kindmesh.protocol.messages import JobAccepted, JobProgress, MessageType, SessionType
from kindmesh.protocol.messages.jobs import Job, JobResult

log = logging.getLogger("kindmesh.node.executor")

ACKNOWLEDGE_S: Final = 0.01
"""A job that ends sooner is not acknowledged: its result says the same."""
OVERDUE_MS: Final = 2_000
"""After its deadline plus this, a capability that did not end is left behind."""
FINISH_MS: Final = 20_000
"""So much longer than the grace time may take what may not be repeated, when the device is switched off."""
RETRY_S: Final = 1.0
Watcher = Callable[[dict[str, Any]], None]
"""Told of every INTENT and RESULT that is on the disk, and of results that cannot be written (`unsaved`)."""


class Executor:
    """See the module. `drain` before the endpoint is closed; `tick` once a heartbeat. `attempts` are what runs."""

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        trust: Trust,
        journal: NodeJournal,
        supervisor: Supervisor,
        reporter: Reporter,
        artifacts: ArtifactStore,
        exchange: Exchange,
        clock: Clock,
        room: Room,
        receipts: Receipts,
    ) -> None:
        self._endpoint = endpoint
        self._trust = trust
        self._journal = journal
        self._supervisor = supervisor
        self._reporter = reporter
        self._clock = clock
        self._room = room
        self._receipts = receipts
        self._machine = JobMachine()
        self._intake = Intake(
            trust=trust, journal=journal, machine=self._machine, supervisor=supervisor, artifacts=artifacts, room=room,
        )  # fmt: skip
        self.attempts = Attempts(
            supervisor=supervisor, artifacts=artifacts, exchange=exchange, clock=clock, room=room,
            device=endpoint.device_id, happened=self._happened, progress=self._progress,
        )  # fmt: skip
        self._actions: dict[type, Callable[[Any], None]] = {
            WriteAccept: self._write_accept,
            WriteIntent: self._write_intent,
            WriteEpoch: self._write_epoch,
            Acknowledge: self._acknowledge,
            Fetch: self.attempts.fetch,
            Run: self.attempts.run,
            StopWork: self.attempts.stop,
            WriteResult: self._write_result,
            Report: self._report,
            Refuse: self._refuse_step,
            RetryLater: self._retry_later,
        }
        self._results: dict[bytes, tuple[bytes, JobResult]] = {}
        self._soon: list[Order] = []
        self._ending = self._closed = False
        self.watchers: list[Watcher] = []
        self.on_stop: Callable[[bytes], None] = _nobody
        """Told who set the stop latch."""
        endpoint.on(MessageType.JOB, self._on_job)
        endpoint.on(MessageType.JOB_CANCEL, self._on_cancel)
        endpoint.on(MessageType.STOP, self._on_stop)

    # What arrives.

    def _on_job(self, envelope: Envelope, body: Any) -> None:
        job: Job = body
        now_ms = self._clock.now_ms()
        try:
            if self._ending:
                raise Busy(
                    "this device is just being switched off", hint="Ask another device, or again later."
                )
            event, accepted = self._intake.judge(envelope.header.src, job, now_ms)
        except KindmeshError as error:
            self._refuse(envelope.header.src, job.job_id, job.epoch, job.operation, error)
            return
        if accepted is not None:
            self.attempts.enter(accepted)
        self._do(self._machine.handle(event, now_ms))

    def _on_cancel(self, envelope: Envelope, body: Any) -> None:
        found, sender = self._machine.find(body.job_id), envelope.header.src
        if found is None or found[0].epoch > body.epoch:
            return
        if sender not in (found[0].sender, self._trust.coordinator.subject):
            log.warning("cancel refused", extra={"job": body.job_id.hex(), "sender": sender.hex()})
        else:
            why = f"it was cancelled: {body.reason}" if body.reason else "it was cancelled"
            self._happened(CancelAsked(body.job_id, found[1], Cancelled(why)))

    def _on_stop(self, envelope: Envelope, body: Any) -> None:
        self.stop(envelope.header.src, body.reason)

    def stop(self, sender: bytes, reason: str) -> bool:
        """Set the stop latch and end what moves, switches or speaks; True unless it was set before."""
        first = self._journal.latch(sender, reason[:200], self._clock.now_ms())
        if first:
            log.warning("stopped", extra={"sender": sender.hex()})
        why = f"{short_id(sender)} told this device to stop"
        for order, attempt, _ in self._machine.open_jobs():
            work = self.attempts.of(order.job_id)
            if work is not None and is_halted(work.operation.name, work.operation.effects, work.job.priority):
                self._happened(CancelAsked(order.job_id, attempt, Stopped(why)))
        self.on_stop(sender)
        return first

    # What the machine decides.

    def _happened(self, event: Event) -> None:
        self._do(self._machine.handle(event, self._clock.now_ms()))

    def _do(self, steps: list[Instruction]) -> None:
        for step in steps:
            self._actions[type(step)](step)

    def _write_accept(self, step: WriteAccept) -> None:
        job_id, attempt = step.order.job_id, step.attempt
        self._journal.accept(step.order, partial(self._written, AcceptWritten(job_id, attempt)))

    def _write_intent(self, step: WriteIntent) -> None:
        job_id, attempt = step.order.job_id, step.attempt
        written = partial(self._written, IntentWritten(job_id, attempt))
        work = self.attempts.of(job_id)
        args = None if work is None else work.job.args
        if work is not None:
            try:
                self._receipts.begins(work.permit, work.operation)
            except KindmeshError as error:
                written(error)
                return
        self._journal.intent(step.order, self._clock.now_ms(), written, args)

    def _written(self, event: AcceptWritten | IntentWritten, error: KindmeshError | None) -> None:
        if error is not None:
            self._happened(WriteFailed(event.job_id, event.attempt, error))
            return
        if self.watchers and isinstance(event, IntentWritten):
            self._tell_watchers("intent", event.job_id)
        self._happened(event)

    def _write_epoch(self, step: WriteEpoch) -> None:
        order = step.order
        try:
            stored = (
                self._journal.load_result(order.job_id) if self._machine.find(order.job_id) is None else None
            )
            if stored is None:
                self._journal.epoch(order)
            else:
                result = msgspec.structs.replace(stored[1], epoch=order.epoch, permit_id=order.permit_id)
                self._journal.epoch(order, result)
        except KindmeshError as error:
            log.warning("a later epoch was not noted", extra={"code": error.code, "job": order.job_id.hex()})

    def _acknowledge(self, step: Acknowledge) -> None:
        if not step.soon:
            self._tell(step.order.sender, SessionType.JOB_ACCEPTED, _accepted(step.order, step.state))
            return
        if not self._soon:
            asyncio.get_running_loop().call_later(ACKNOWLEDGE_S, self._acknowledge_late)
        self._soon.append(step.order)

    def _acknowledge_late(self) -> None:
        orders, self._soon = self._soon, []
        for order in orders:
            if self._machine.state(order.job_id) == "running":
                self._tell(order.sender, SessionType.JOB_ACCEPTED, _accepted(order, "running"))

    def _tell(self, dst: bytes, type_: SessionType, body: msgspec.Struct) -> None:
        try:
            self._endpoint.tell(dst, type_, body)
        except TransportError as error:
            log.info("not told", extra={"code": error.code, "type": type_.name})

    def _progress(self, work: Work, fraction: float | None, text: str) -> None:
        found = self._machine.find(work.job.job_id)
        if found is not None and not work.abandoned:
            order = found[0]
            body = JobProgress(order.job_id, order.epoch, min(1.0, max(0.0, fraction or 0.0)), text[:200])
            self._tell(order.sender, SessionType.JOB_PROGRESS, body)

    def _write_result(self, step: WriteResult) -> None:
        order = step.order
        work = self.attempts.leave(
            order.job_id, step.ended_ms - step.started_ms if step.outcome == "succeeded" else None
        )
        if order.job_id not in self._results:
            self._results[order.job_id] = (order.sender, job_result(step, work, self._receipts))
        told = self._results[order.job_id][1]
        self._journal.result(step, told, partial(self._result_written, order.job_id, step.attempt))

    def _result_written(self, job_id: bytes, attempt: int, error: KindmeshError | None) -> None:
        if error is not None:
            log.error("a result is kept in memory", extra={"code": error.code, "job": job_id.hex()})
            self._tell_watchers("unsaved", job_id)
            self._happened(ResultWriteFailed(job_id, attempt))
            return
        if self.watchers:
            self._tell_watchers("result", job_id)
        self._happened(ResultWritten(job_id, attempt))

    def _retry_later(self, step: RetryLater) -> None:
        asyncio.get_running_loop().call_later(RETRY_S, self._retry, step.job_id, step.attempt)

    def _retry(self, job_id: bytes, attempt: int) -> None:
        if not self._closed:
            self._happened(RetryDue(job_id, attempt))

    def _report(self, step: Report) -> None:
        found = self._results.pop(step.job_id, None)
        if found is None:
            self._reporter.report_stored(step.job_id)
        else:
            self._reporter.report(step.job_id, *found)

    def _refuse_step(self, step: Refuse) -> None:
        order = step.order
        if self._machine.find(order.job_id) is None:
            self.attempts.leave(order.job_id, None)
            self._results.pop(order.job_id, None)
        self._refuse(order.sender, order.job_id, order.epoch, order.operation, step.error)

    def _refuse(self, sender: bytes, job_id: bytes, epoch: int, operation: str, error: KindmeshError) -> None:
        """Nothing was begun, nothing is kept; whoever wants to know why asks again."""
        log.warning("job refused", extra={"code": error.code, "job": job_id.hex(), "sender": sender.hex()})
        self._journal.refused(sender, error.code)
        ext = {"retry_ms": encode_value(self._retry_ms(operation))} if isinstance(error, Busy) else {}
        result = JobResult(
            job_id, epoch, "failed", b"", error_to_wire(error), b"", 0, self._clock.now_ms(), (), ext
        )
        try:
            self._endpoint.post(sender, MessageType.JOB_RESULT, result)
        except KindmeshError as failure:
            log.info("refusal not sent", extra={"code": failure.code, "job": job_id.hex()})

    def _retry_ms(self, operation: str) -> int:
        try:
            return self._room.retry_ms(self._supervisor.find(operation))
        except KindmeshError:
            return int(RETRY_S * 1000)

    def _tell_watchers(self, event: str, job_id: bytes) -> None:
        found = self._machine.find(job_id)
        operation = "" if found is None else found[0].operation
        for watcher in list(self.watchers):
            watcher({"event": event, "job": job_id, "operation": operation})

    # Time.

    @property
    def running(self) -> int:
        """Jobs under way."""
        return self._room.total

    def open_jobs(self) -> list[tuple[Order, str]]:
        """Orders of all open jobs, with their state."""
        return [(order, state) for order, _, state in self._machine.open_jobs()]

    def under_way(self) -> set[str]:
        """Operations of all open jobs."""
        return {order.operation for order, _, _ in self._machine.open_jobs()}

    def resume(self) -> None:
        """After a restart: what was begun and not finished is `interrupted` or `uncertain`."""
        records = self._journal.unfinished()
        self._reporter.resume([(record.job_id, record.epoch) for record in records if record.state == "done"])
        broken = tuple(record for record in records if record.state != "done")
        self._do(self._machine.handle(Restarted(broken), self._clock.now_ms()))

    def tick(self) -> None:
        """Once a heartbeat: leave those behind that should have ended and did not."""
        now_ms = self._clock.now_ms()
        for work in [work for work in self.attempts.open() if now_ms > work.until_ms + OVERDUE_MS]:
            if self._machine.state(work.job.job_id) in ("running", "stopping"):
                self._supervisor.failed(
                    work.operation.name, f"{work.operation.name} did not end when it must"
                )
            found = self._machine.find(work.job.job_id)
            if found is not None:
                self._happened(DeadlinePassed(work.job.job_id, found[1]))

    async def drain(self, grace_ms: int, why: KindmeshError | None = None) -> None:
        """Take no new jobs; let running ones end within `grace_ms`, then cancel those that may be repeated, and after
        `FINISH_MS` more the others (`why`: at once, and not because the device is switched off); all results are
        written."""
        self._ending = True
        running = {work.task for work in self.attempts.open() if work.task is not None}
        if running and grace_ms:
            await asyncio.wait(running, timeout=grace_ms / 1000)
            if why is None:
                await self._finish_unrepeatable()
        for order, attempt, _ in self._machine.open_jobs():
            cause = why or Interrupted("the device was switched off before it was done; nothing was changed")
            self._happened(CancelAsked(order.job_id, attempt, cause))
        if self.attempts.tasks:
            await asyncio.wait(self.attempts.tasks, timeout=OVERDUE_MS / 1000)
        for order, attempt, state in self._machine.open_jobs():
            if state not in ("saving", "unsaved"):
                self._happened(DeadlinePassed(order.job_id, attempt))
        try:
            await self._journal.store.durable()
        except KindmeshError as error:
            log.error("not all results are on the disk", extra={"code": error.code})

    async def _finish_unrepeatable(self) -> None:
        """What has begun and may not be repeated gets more time; what may be repeated is given back meanwhile."""
        left = set()
        for order, attempt, state in self._machine.open_jobs():
            work = self.attempts.of(order.job_id)
            if work is None or work.task is None or work.task.done():
                continue
            if order.repeatable or state not in ("running", "stopping"):
                cause = Interrupted("the device was switched off before it was done; nothing was changed")
                self._happened(CancelAsked(order.job_id, attempt, cause))
            else:
                left.add(work.task)
        if left:
            log.info("what may not be repeated is finished first", extra={"count": len(left)})
            await asyncio.wait(left, timeout=FINISH_MS / 1000)

    async def close(self) -> None:
        """Leave everything as it is; what was under way is found in the journal at the next start."""
        self._ending = self._closed = True
        await self.attempts.close(OVERDUE_MS)


def _nobody(sender: bytes) -> None:
    """Nobody else has something to stop."""


def _accepted(order: Order, state: str) -> JobAccepted:
    return JobAccepted(order.job_id, order.epoch, state)


__all__ = ["ACKNOWLEDGE_S", "FINISH_MS", "OVERDUE_MS", "Executor", "Watcher"]
