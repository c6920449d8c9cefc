"""The Heart: takes what somebody wants done, has it done by the device that serves best, remembers how it ended.

    wish --check--> job (on the disk) --placement--> device --Medulla--> permit --mesh--> node --> result (on the disk)

This is the face of it, for the coordinator's composition root and its control handlers. Jobs are taken in `submitting`
and looked at in `reading`; their own logic is in `machine`, its driver in `dispatch`. Promises: `submit` returns only
when the job is on the disk (for anything with an effect: safe from a power cut); from then on it ends exactly once, or
is visibly waiting, whatever is killed meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from kindmesh.coordinator.heart import documents
from kindmesh.coordinator.heart.adverts import Adverts
from kindmesh.coordinator.heart.calling import Calls
from kindmesh.coordinator.heart.dead_letters import DeadLetters
from kindmesh.coordinator.heart.devices import Devices
from kindmesh.coordinator.heart.dispatch import Dispatch
from kindmesh.coordinator.heart.drains import Drains
from kindmesh.coordinator.heart.entry import Acknowledged, Document, Entry, Watcher
from kindmesh.coordinator.heart.hearing import Hearing, OnHeartbeat
from kindmesh.coordinator.heart.journal import HeartJournal
from kindmesh.coordinator.heart.late import Late
from kindmesh.coordinator.heart.machine_words import CancelAsked
from kindmesh.coordinator.heart.medulla_client import Reviewer
from kindmesh.coordinator.heart.placement import Choice, Need
from kindmesh.coordinator.heart.reading import Reading
from kindmesh.coordinator.heart.retention import KeepRules, Retention
from kindmesh.coordinator.heart.settling import Settler
from kindmesh.coordinator.heart.submitting import HeartLimits, Submitting
from kindmesh.coordinator.heart.wishes import Wish
from kindmesh.mesh.audit import AuditLog
from kindmesh.mesh.clock import Clock, Entropy
from kindmesh.mesh.endpoint import Endpoint
from kindmesh.mesh.store import Store
from kindmesh.mesh.trust import Trust
from kindmesh.mesh.vault import RunVault
from kindmesh.protocol.codec import decode, decode_value
from kindmesh.protocol.errors import (
    InvalidInput,
    KindmeshError,
    PermitUsed,
    UnknownJob,
)
from kindmesh.protocol.limits import ARGUMENTS_MAX
from kindmesh.protocol.messages.jobs import JobResult
from kindmesh.protocol.policy import Approval, ApprovalRequest
from kindmesh.protocol.principal import Principal, belongs_to, device_principal
from kindmesh.protocol.signed import Signed

log = logging.getLogger("kindmesh.coordinator.heart")


class Heart:
    """See the module. `devices` is what is known of them, `read` looks at jobs.

    Make it before the endpoint starts; `start` once, `close` once.
    """

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        trust: Trust,
        store: Store,
        vault: RunVault,
        reviewer: Reviewer,
        clock: Clock,
        entropy: Entropy,
        limits: HeartLimits | None = None,
        on_heartbeat: OnHeartbeat | None = None,
        audit: AuditLog | None = None,
        keep: KeepRules | None = None,
    ) -> None:
        """`store` has `HEART_SCHEMA`; `on_heartbeat(device, heartbeat)` is told of each one; `keep`: how long finished
        jobs are (`retention.tick` removes those that are over)."""
        self._clock = clock
        self._reviewer = reviewer
        self._journal = HeartJournal(store, vault)
        self.retention = Retention(self._journal, clock, keep or KeepRules())
        self._members = trust.membership
        self.devices = Devices(trust.membership, endpoint.device_id, clock.now_ms())
        self.settler = Settler(self._journal, self.announce, audit)
        self.letters = DeadLetters(store, vault, clock, entropy, audit)
        self.late = Late(self._journal, self.devices, self.letters, self.settler, clock)
        endpoint.on_refusal(self.late.refused)
        self._dispatch = Dispatch(
            endpoint=endpoint,
            devices=self.devices,
            journal=self._journal,
            reviewer=reviewer,
            clock=clock,
            late=self.late,
        )
        self._adverts = Adverts(
            members=trust.membership,
            devices=self.devices,
            journal=self._journal,
            reviewer=reviewer,
            changed=self._offers_changed,
        )
        self.drains = Drains(store, self.devices, self._dispatch, clock, self.announce)
        self._hearing = Hearing(
            drains=self.drains,
            endpoint=endpoint,
            devices=self.devices,
            dispatch=self._dispatch,
            adverts=self._adverts,
            clock=clock,
            on_heartbeat=on_heartbeat,
        )
        self.read = Reading(self._dispatch, self._journal, self.devices, clock, self.settler)
        self._submitting = Submitting(
            dispatch=self._dispatch,
            journal=self._journal,
            devices=self.devices,
            read=self.read,
            clock=clock,
            entropy=entropy,
            limits=limits or HeartLimits(),
        )
        self._calls = Calls(endpoint, self.devices, self._dispatch.placer)

    def _offers_changed(self, device: bytes) -> None:
        self._hearing.offers_changed(device)

    # --------------------------------------------------------------------------------------------- begin and end

    async def start(self) -> None:
        """Read the journal: all open jobs go on, as soon as their devices are back.

        Raises:
            DiskFull, StoreDamaged, StoreError.
        """
        self.recover()
        self._hearing.start()

    def recover(self) -> int:
        """See `start`; returns how many jobs go on."""
        self.devices.expect(self._clock.now_ms())
        self._adverts.recall()
        self.drains.recover()
        rows = self._journal.open_jobs()
        for row in rows:
            self._dispatch.resume(row)
        for device in {row.now.device for row in rows} - {b""}:
            if device in self._members.revoked:
                self._dispatch.device_removed(device)
        if rows:
            log.info("jobs go on after a restart", extra={"count": len(rows)})
        return len(rows)

    async def close(self) -> None:
        """Stop. Open jobs stay in the journal and go on at the next start."""
        self._hearing.stop()
        await self._adverts.close()
        self._dispatch.close()

    # ----------------------------------------------------------------------------------------------------- submit

    def submit_soon(
        self,
        wish: Wish,
        acknowledged: Acknowledged,
        *,
        waiter: Watcher | None = None,
        watcher: Watcher | None = None,
    ) -> bytes:
        """Take a job; returns its id at once.

        Args:
            acknowledged: called once, with None when the job is on the disk, or with why it never will be.
            waiter: called once with the job's document when it has ended.
            watcher: called with its events (see `telling`).

        Raises:
            UnknownOperation, InvalidInput, Malformed: what is wrong with the wish, the field named.
            NoDeviceAble: nobody could ever do it as things are; why not, device by device.
            Busy: too many jobs wait; says for how long.
            StoreConflict: the key was used for something else.
            DiskFull, StoreError.
        """
        return self._submitting.take(wish, acknowledged, waiter=waiter, watcher=watcher)

    async def submit(self, wish: Wish) -> bytes:
        """Take a job; returns its id (16 bytes) when it is on the disk. Raises as `submit_soon`."""
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        job_id = self.submit_soon(wish, partial(_acknowledge, stored))
        await stored
        return job_id

    def run(self, wish: Wish, watcher: Watcher | None = None) -> asyncio.Future[Document]:
        """Take a job and wait for its end, however it ends: awaitable document. Raises as `submit_soon`.

        If the caller is cancelled, the job goes on.
        """
        ended: asyncio.Future[Document] = asyncio.get_running_loop().create_future()
        self.submit_soon(wish, partial(_refuse, ended), waiter=partial(_resolve, ended), watcher=watcher)
        return ended

    # ----------------------------------------------------------------------------------------- look, wait, cancel

    def jobs(self, limit: int = 50, state: str = "", principal: str = "") -> list[Document]:
        """The newest jobs first, without what they were given and gave; `limit` 1..1000; only those of a principal."""
        return self.read.jobs(limit, state, principal)

    def job(self, job_id: bytes) -> Document:
        """All about one job: what it was given (`args`), what it gave, and its story.

        Raises:
            UnknownJob.
        """
        return self.read.job(job_id)

    async def wait(self, job_id: bytes) -> Document:
        """The job's document, once it has ended.

        Raises:
            UnknownJob.
        """
        entry = self._dispatch.open.get(job_id)
        if entry is None:
            return self.read.ended_document(self.read.row(job_id))
        ended: asyncio.Future[Document] = asyncio.get_running_loop().create_future()
        waiter = partial(_resolve, ended)
        entry.waiters.append(waiter)
        try:
            return await ended
        finally:
            if waiter in entry.waiters:
                entry.waiters.remove(waiter)

    def attend(self, job_id: bytes, waiter: Watcher) -> None:
        """Call `waiter` once with the job's document when it has ended, also when it already has.

        Raises:
            UnknownJob.
        """
        row = self.read.row(job_id)
        if job_id not in self._dispatch.open and not row.ended_ms:
            self._dispatch.resume(row)
        entry = self._dispatch.open.get(job_id)
        if entry is not None:
            entry.waiters.append(waiter)
        else:
            ended = self.read.ended_document(self.read.row(job_id))
            asyncio.get_running_loop().call_soon(waiter, ended)

    def cancel(self, job_id: bytes, by: str = "the owner") -> Document:
        """Ask that a job ends; returns how it stands. What has begun ends when its device says so.

        Raises:
            UnknownJob.
        """
        entry = self._dispatch.open.get(job_id)
        if entry is not None:
            self._dispatch.tell(entry, CancelAsked(by))
            return documents.summary(entry.facts, entry.progress(), 0, self.devices.name)
        row = self.read.row(job_id)
        return documents.summary(row.facts, row.now, row.ended_ms, self.devices.name)

    async def again(self, job_id: bytes, letter: bytes) -> bytes:
        """Start a job of the owner's, or of a device's, anew: the id of the new one, the same each time.

        Raises:
            UnknownJob, Forgotten: it is not known what it was given. InvalidInput: a person asked for it, and signed
            for that one job only. What else `submit` raises.
        """
        row = self.read.row(job_id)
        asked = self._journal.request(row)
        if asked.proof is not None:
            raise InvalidInput(
                f"{row.facts.operation} was asked for, and signed, by a person", field="id",
                hint="Only they can ask for it again.",
            )  # fmt: skip
        args = decode_value(asked.args)
        return await self.submit(
            Wish(
                row.facts.operation, args, asked.target, row.facts.priority, key=f"again-{letter.hex()}",
                full=row.facts.full, sources=asked.sources, principal=asked.principal, purpose=asked.purpose,
            )
        )  # fmt: skip

    def take_result(self, device: bytes, result: JobResult) -> None:
        """A result as if it had just come from that device."""
        self._dispatch.result(device, result)

    def after_sync(self, done: Acknowledged) -> None:
        """Tell `done` when everything written until now would survive a power cut, or why it does not."""
        self._journal.store.after_sync(done)

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Tell `watcher` of every job and device from now on (see `telling`); call what is returned to end that."""
        watchers = self._dispatch.telling.watchers
        watchers.append(watcher)
        return partial(_remove, watchers, watcher)

    def tell_events(self, news: Watcher, state: Callable[[Entry, str], None]) -> None:
        """For the event bus: `news` hears of devices, `state` of every state of every job."""
        self._dispatch.telling.news.append(news)
        self._dispatch.telling.on_state = state

    def forget(self, run_id: bytes) -> bool:
        """Make what the jobs of a run were given and gave unreadable for ever; False when there was no such run.

        Raises:
            InvalidInput: one of them has not ended.
        """
        if any(entry.facts.run_id == run_id for entry in self._dispatch.open.values()):
            raise InvalidInput("a job of this run has not ended", field="run", hint="Cancel it first.")
        return self._journal.forget(run_id)

    def announce(self, event: Document) -> None:
        """News that concern no single job, for everybody who watches."""
        self._dispatch.telling.everybody(event)

    def remove(self, member: bytes) -> None:
        """A member was removed: jobs that it has move or end, visibly; what it asked for itself ends."""
        self._dispatch.device_removed(member)
        self.leave(device_principal(member))

    def leave(self, who: Principal) -> None:
        """Somebody was removed: their open jobs, and those of what acted for them, end."""
        for entry in list(self._dispatch.open.values()):
            if belongs_to(who, entry.facts.principal):
                self._dispatch.tell(entry, CancelAsked("the owner, who removed who asked"))

    # -------------------------------------------------------------------------------------------------- approvals

    def statistics(self) -> dict[str, Any]:
        """Open jobs by state, and how long jobs usually take (ms)."""
        return self.read.statistics()

    def approvals(self) -> list[Document]:
        """What waits for a person: `request` are the bytes to show and to have signed."""
        return self.read.approvals()

    async def approve(self, approval: Signed) -> Document:
        """Pass a person's signed answer on to Medulla; returns how the job stands then.

        Raises:
            Malformed: not such an answer.
            UnknownJob: the job has ended meanwhile.
            BadSignature, PermitRefused and its kin, NotRunning: what Medulla says; the question stays.
        """
        answer = decode(Approval, approval.payload, limit=3 * ARGUMENTS_MAX)
        request = decode(ApprovalRequest, answer.request, limit=2 * ARGUMENTS_MAX)
        entry = self._dispatch.open.get(request.job_id)
        if entry is None:
            raise UnknownJob("this job has ended meanwhile", hint="Start it again.")
        epoch = entry.machine.epoch
        try:
            verdict = await self._reviewer.approve(approval, epoch)
        except PermitUsed:
            # Medulla does not know this question (any more): have it asked anew, so that the job does not wait in vain.
            if entry.question == answer.request and entry.machine.state == "waiting_approval":
                self._dispatch.permitting.ask(entry, entry.machine.device, entry.machine.epoch)
            raise
        if self._dispatch.open.get(request.job_id) is entry:
            self._dispatch.permitting.judged(entry, epoch, verdict)
        return documents.summary(entry.facts, entry.progress(), 0, self.devices.name)

    # ----------------------------------------------------------------------------------------- explain, call

    def explain(self, operation: str, args: dict[str, Any], target: bytes = b"") -> Document:
        """Where this would go now, and why; nothing is done.

        Raises:
            UnknownOperation, InvalidInput, Malformed.
        """
        return self.read.explain(operation, args, target)

    def choose(self, operation: str, target: bytes = b"") -> Choice:
        """Which device would serve this best now; `Choice.device` is empty, and why, when none can."""
        return self._dispatch.placer.choose(Need(operation, target))

    def call(
        self, operation: str, args: dict[str, Any], *, target: bytes = b"", within_ms: int = 10_000
    ) -> asyncio.Future[Document]:
        """A read-only session call, with no job and no permit, answered or not: awaitable value.

        Raises:
            UnknownOperation, InvalidInput: also when the operation is not for session calls.
            NoDeviceAble, PeerUnreachable, BackPressure, DeadlineExceeded, and what the device answers.
        """
        return self._calls.ask(operation, args, target=target, within_ms=within_ms)


def _acknowledge(stored: asyncio.Future[None], error: KindmeshError | None) -> None:
    if not stored.done():
        if error is None:
            stored.set_result(None)
        else:
            stored.set_exception(error)


def _refuse(ended: asyncio.Future[Document], error: KindmeshError | None) -> None:
    if error is not None and not ended.done():
        ended.set_exception(error)


def _resolve(ended: asyncio.Future[Document], document: Document) -> None:
    if not ended.done():
        ended.set_result(document)


def _remove(watchers: list[Watcher], watcher: Watcher) -> None:
    if watcher in watchers:
        watchers.remove(watcher)


__all__ = ["Heart", "Wish"]
