"""The tasks behind the jobs of a device: one for each attempt that fetches its inputs, or runs a capability.

One `Work` stands for each job that has room. Whatever ends its task - an answer, an error, a cancellation, a mistake of
the capability - becomes exactly one event of the job machine; a task that was left behind (`abandoned`) tells nothing
any more. Decides nothing, writes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from kindmesh.mesh.artifacts import ArtifactStore
from kindmesh.mesh.clock import Clock
from kindmesh.mesh.exchange import Exchange
from kindmesh.node.admission import Room
from kindmesh.node.intake import Accepted
from kindmesh.node.job_events import Event, Failed, Fetch, InputsReady, Run, StopWork
from kindmesh.node.supervisor import Supervisor
from kindmesh.node.work import Work
from kindmesh.protocol.errors import Cancelled, CapabilityCrashed, InternalError, KindmeshError

log = logging.getLogger("kindmesh.node.executor")

Progress = Callable[[Work, float | None, str], None]
"""(work, how much of it, in words)"""


class Attempts:
    """See the module; `device` is this one, `happened` takes events to the machine. `tasks` are those that run."""

    def __init__(
        self,
        *,
        supervisor: Supervisor,
        artifacts: ArtifactStore,
        exchange: Exchange,
        clock: Clock,
        room: Room,
        device: bytes,
        happened: Callable[[Event], None],
        progress: Progress,
    ) -> None:
        self._supervisor = supervisor
        self._artifacts = artifacts
        self._exchange = exchange
        self._clock = clock
        self._room = room
        self._device = device
        self._happened = happened
        self._progress = progress
        self._works: dict[bytes, Work] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    def enter(self, accepted: Accepted) -> None:
        """A job takes room here."""
        self._works[accepted.job.job_id] = Work(accepted)
        self._room.enter(accepted.operation.name)

    def leave(self, job_id: bytes, took_ms: int | None) -> Work | None:
        """A job gives its room back; `took_ms`: how long it ran, if that says something about others."""
        work = self._works.pop(job_id, None)
        if work is not None:
            self._room.leave(work.operation.name, took_ms)
        return work

    def of(self, job_id: bytes) -> Work | None:
        """The work of a job that has room."""
        return self._works.get(job_id)

    def open(self) -> Collection[Work]:
        """All work there is."""
        return self._works.values()

    def fetch(self, step: Fetch) -> None:
        """Get the inputs of a job that are not here."""
        self._start(step, self._fetch_inputs)

    def run(self, step: Run) -> None:
        """Run the capability."""
        self._start(step, self._perform)

    def _start(self, step: Fetch | Run, what: Callable[[Work], Any]) -> None:
        work = self._works[step.order.job_id]
        work.attempt = step.attempt
        work.task = task = asyncio.get_running_loop().create_task(what(work))
        self.tasks.add(task)
        task.add_done_callback(partial(self._ended, work))

    async def _fetch_inputs(self, work: Work) -> None:
        job = work.job
        event: Event = InputsReady(job.job_id, work.attempt)
        try:
            if job.permit is not None:
                for source in work.missing:
                    await self._exchange.fetch(source, job.permit, job.args)
        except KindmeshError as error:
            event = Failed(job.job_id, work.attempt, error)
        if not work.abandoned:
            self._happened(event)

    async def _perform(self, work: Work) -> None:
        job, operation = work.job, work.operation
        event: Event
        try:
            now_ms = self._clock.now_ms()
            work.until_ms = min(job.deadline_ms, now_ms + operation.limits.timeout_ms)
            value = await self._supervisor.call(
                operation.name,
                work.values,
                job_id=job.job_id,
                timeout_ms=max(0, work.until_ms - now_ms),
                progress=partial(self._progress, work),
            )
            event = work.finished(value, self._device, self._artifacts)
            self._supervisor.succeeded(operation.name)
        except KindmeshError as error:
            if isinstance(error, (CapabilityCrashed, InternalError)):
                self._supervisor.failed(operation.name, error.message)
            event = Failed(job.job_id, work.attempt, error)
        if not work.abandoned:
            self._happened(event)

    def _ended(self, work: Work, task: asyncio.Task[None]) -> None:
        """A task that did not turn its own end into an event: it was cancelled, or a capability has a bug."""
        self.tasks.discard(task)
        cancelled = task.cancelled()
        error = None if cancelled else task.exception()
        if not cancelled and error is None:
            return
        if isinstance(error, KindmeshError):  # not a capability's: the machine or the journal has a bug
            log.error("a job went wrong", exc_info=error, extra={"job": work.job.job_id.hex()})
            return
        if error is not None:
            log.error("a capability failed", exc_info=error, extra={"operation": work.operation.name})
            self._supervisor.failed(work.operation.name, f"a mistake of its own ({type(error).__name__})")
        if not work.abandoned:
            failure = Cancelled() if cancelled else CapabilityCrashed(
                f"{work.operation.name} failed by a mistake of its own", hint="The log of the device has the details."
            )  # fmt: skip
            self._happened(Failed(work.job.job_id, work.attempt, failure))

    def stop(self, step: StopWork) -> None:
        """Cancel the task of a job; `abandon`: it tells nothing any more."""
        work = self._works.get(step.job_id)
        if work is not None and work.task is not None:
            work.abandoned = work.abandoned or step.abandon
            work.task.cancel()

    async def close(self, within_ms: int) -> None:
        """Cancel all, without a word to the machine; they have so long to end."""
        for work in self._works.values():
            work.abandoned = True
        for task in self.tasks:
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=within_ms / 1000)


__all__ = ["Attempts", "Progress"]
