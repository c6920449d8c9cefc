"""The driver of all open jobs: does what their machines ask for, and tells them what came of it. Decides nothing.

Sending is in `sending`, asking Medulla in `permitting`, choosing devices in `placer`; here they meet. Rules: a result
is acknowledged, and an ending told, only when it is on the disk; how hard "on the disk" is depends on the job (`full`:
survives a power cut). When the disk fails, memory is thrown away and read anew from what is there: it never runs ahead.
Everything runs on the loop; the only task is the one that passes on what devices offer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from kindmesh.coordinator.heart.devices import Devices
from kindmesh.coordinator.heart.disk import Disk
from kindmesh.coordinator.heart.entry import Acknowledged, Entry
from kindmesh.coordinator.heart.journal import Ending, HeartJournal, JobRow, Progress
from kindmesh.coordinator.heart.late import Late
from kindmesh.coordinator.heart.machine_job import GRACE_MS
from kindmesh.coordinator.heart.machine_words import (
    ENDED,
    AckResult,
    AskPermit,
    DeadlinePassed,
    DeviceBack,
    DeviceDrains,
    DeviceLost,
    DeviceRemoved,
    Event,
    Finish,
    HedgeDue,
    NoCandidate,
    Place,
    Placed,
    PlaceSecond,
    Preempted,
    Restarted,
    RetryDue,
    ScheduleHedge,
    ScheduleRetry,
    SecondPlaced,
    SendCancel,
    SendJob,
    Submitted,
)
from kindmesh.coordinator.heart.measuring import Measuring
from kindmesh.coordinator.heart.medulla_client import Reviewer
from kindmesh.coordinator.heart.permitting import Permitting
from kindmesh.coordinator.heart.placement import Need
from kindmesh.coordinator.heart.placer import Placer
from kindmesh.coordinator.heart.results import clean, ending, event
from kindmesh.coordinator.heart.sending import Sender
from kindmesh.coordinator.heart.taking import Taking
from kindmesh.coordinator.heart.telling import Telling
from kindmesh.coordinator.heart.timers import Timers
from kindmesh.mesh.clock import Clock
from kindmesh.mesh.endpoint import Endpoint
from kindmesh.protocol.errors import (
    InvalidTransition,
    KindmeshError,
    error_to_wire,
)
from kindmesh.protocol.messages import JobResult
from kindmesh.protocol.messages.jobs import is_alert

log = logging.getLogger("kindmesh.coordinator.heart")

LOOK_MS: Final = 5_000
"""Every open job is looked at this often, whatever it waits for."""
REPAIR_MS: Final = 1_000
"""How long a job that was read anew rests before it tries the disk again."""
_SMOOTH: Final = 0.05
_NO_PLACE: Final = ENDED | {"waiting_approval"}
"""States in which a job takes no place on its device."""


class Dispatch:
    """See the module. `open` are the jobs that have not ended, by id."""

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        devices: Devices,
        journal: HeartJournal,
        reviewer: Reviewer,
        clock: Clock,
        late: Late,
    ) -> None:
        self.open: dict[bytes, Entry] = {}
        self.telling = Telling(devices)
        self.usual_ms = 0.0
        self._measuring = Measuring(devices, self.telling, clock)
        self._devices = devices
        self._journal = journal
        self._store = journal.store
        self._clock = clock
        self._late_results = late
        self._timers = Timers(clock, self._due)
        self.placer = Placer(devices, clock, self._retry)
        self._disk = Disk(journal, self._repair)
        self._sender = Sender(endpoint=endpoint, disk=self._disk, clock=clock, tell=self.tell)
        self.permitting = Permitting(
            reviewer=reviewer,
            reader=endpoint.device_id,
            sender=self._sender,
            tell=self.tell,
            is_open=self._is_open,
        )
        self._taking = Taking(endpoint)
        self._result: JobResult | None = None
        self._unread: dict[bytes, Entry] = {}
        self._do: dict[type, Callable[[Entry, Any, int], None]] = {
            Place: self._place,
            AskPermit: self.permitting.wanted,
            SendJob: self._sender.send_when_safe,
            SendCancel: self._sender.cancel,
            ScheduleRetry: self._schedule,
            PlaceSecond: self._place_second,
            ScheduleHedge: self._schedule_hedge,
            Finish: self._finish,
        }

    # ------------------------------------------------------------------------------------------ jobs begin

    def begin(self, entry: Entry, acknowledged: Acknowledged) -> None:
        """Take a new job; `acknowledged` is called when it is on the disk, or is not going to be.

        Raises:
            DiskFull, StoreError, StoreConflict: there is no such job.
        """
        entry.acknowledged = acknowledged
        self.open[entry.facts.job_id] = entry
        self._sender.hold(entry)
        self.tell(entry, Submitted())
        try:
            self._journal.submit(entry.facts, entry.request, entry.progress())
        except KindmeshError:
            self._drop(entry)
            raise
        self._disk.after(entry, partial(self._submitted, entry))

    def _submitted(self, entry: Entry) -> None:
        entry.stored = True
        if not entry.machine.ended:
            self._disk.mark(entry)
        acknowledged, entry.acknowledged = entry.acknowledged, None
        self._sender.release(entry)
        if acknowledged is not None:
            acknowledged(None)

    def resume(self, row: JobRow, before: Entry | None = None) -> None:
        """Go on with an open job of the journal; `before` is what memory believed of it until the disk failed.

        The second time in a row it goes on in a moment only, or when something happens to it: a disk that is full
        stays full for a while."""
        facts, now = row.facts, row.now
        try:
            request, question = self._journal.request(row), self._journal.question(row)
        except KindmeshError as error:
            self._give_up(row, error, before)
            return
        entry = Entry(facts, request, now.deadline_ms, Need(facts.operation, request.target))
        entry.permit, entry.question, entry.stored = now.permit, question, True
        entry.machine.resume(now.state, now.device, now.epoch, now.lease, now.story)
        self.open[facts.job_id] = entry
        entry.asleep = True
        if before is not None:
            entry.waiters, entry.watchers, entry.repairs = before.waiters, before.watchers, before.repairs + 1
        if entry.repairs > 1:
            self._timers.at(facts.job_id, self._clock.now_ms() + REPAIR_MS)
        else:
            self._wake(entry)

    def _give_up(self, row: JobRow, error: KindmeshError, before: Entry | None) -> None:
        """A job whose contents are gone, or damaged, ends visibly, also for those who wait."""
        facts, now, now_ms = row.facts, row.now, self._clock.now_ms()
        log.error("a job cannot be read any more", extra={"code": error.code, "job": facts.job_id.hex()})
        failed = Progress("failed", "none", now.device, now.epoch, now.deadline_ms, None, b"", now.story)
        ended = Ending(error=error_to_wire(error))
        try:
            self._journal.end(facts, failed, ended, now_ms)
        except KindmeshError as refused:
            log.error("its end was not written", extra={"code": refused.code, "job": facts.job_id.hex()})
            if before is not None:
                self._later(before)
            return
        if before is not None:
            self._store.after_sync(partial(self._given_up, before, failed, ended, now_ms))

    def _given_up(
        self, entry: Entry, now: Progress, ended: Ending, now_ms: int, error: KindmeshError | None
    ) -> None:
        if error is None:
            self.telling.ended(entry, now, ended, now_ms)
        else:
            self._later(entry)

    def _wake(self, entry: Entry) -> None:
        entry.asleep = False
        self.tell(entry, Restarted(entry.permit is not None))

    # ---------------------------------------------------------------------------------------- the machine's wishes

    def _is_open(self, entry: Entry) -> bool:
        return self.open.get(entry.facts.job_id) is entry

    def tell(self, entry: Entry, event: Event) -> None:
        """Tell a job's machine, and do what it asks for."""
        if entry.asleep:
            self._wake(entry)
            if not self._is_open(entry):
                return  # it has ended, or is being read anew
        machine, now_ms = entry.machine, self._clock.now_ms()
        second_epoch = machine.second_epoch
        try:
            instructions = machine.handle(event, now_ms)
        except InvalidTransition as error:
            log.error(
                "a bug in the job machine", extra={"job": entry.facts.job_id.hex(), "story": error.story}
            )
            return
        working = machine.lease in ("chosen", "sent") and machine.state not in _NO_PLACE
        occupied = machine.device if working else b""
        if occupied != entry.occupied:
            self.placer.occupy(entry, occupied)
        if machine.second != entry.second_occupied:
            self.placer.occupy_second(entry, machine.second)
        if second_epoch and machine.epoch == second_epoch:
            entry.permit, entry.second_permit = entry.second_permit, None
        for instruction in instructions:
            if type(instruction) is not AckResult:
                self._do[type(instruction)](entry, instruction, now_ms)
        for instruction in instructions:
            if type(instruction) is AckResult:
                # After everything that has to be on the disk before the device may forget.
                taken = partial(self._taking.taken, instruction.device, entry.facts.job_id, instruction.epoch)
                self._disk.after(entry, taken)
        if not machine.ended:
            if entry.stored:
                self._disk.mark(entry)
            self.telling.state(entry)
            self._rearm(entry)

    def _place(self, entry: Entry, wish: Place, now_ms: int) -> None:
        choice = self.placer.place(entry, wish.avoid)
        if choice.device:
            self.tell(entry, Placed(choice.device, choice.why))
        else:
            urgent = choice.busy and entry.facts.priority == "emergency"
            why = self._make_room(entry, choice.why) if urgent else choice.why
            self.tell(entry, NoCandidate(why, choice.busy))

    def _make_room(self, entry: Entry, why: str) -> str:
        """An emergency found every place taken: the least urgent job that may be done again gives up its own."""
        if entry.room_asked:
            return entry.machine.why or why
        found = self.placer.gives_way(entry, self.open.values())
        if found is None:
            return why
        entry.room_asked = True
        self.tell(found, Preempted(f"an emergency needs the place ({entry.facts.operation})"))
        return f"{why}; a job of priority {found.facts.priority} makes room"

    def _place_second(self, entry: Entry, wish: PlaceSecond, now_ms: int) -> None:
        choice = self.placer.second(entry, wish.beside)
        if choice.device:
            self.tell(entry, SecondPlaced(choice.device, choice.why))

    def _schedule_hedge(self, entry: Entry, wish: ScheduleHedge, now_ms: int) -> None:
        entry.hedge_at_ms = wish.at_ms

    def _schedule(self, entry: Entry, wish: ScheduleRetry, now_ms: int) -> None:
        entry.retry_ms = wish.at_ms

    def _finish(self, entry: Entry, wish: Finish, now_ms: int) -> None:
        ended = ending(wish, entry.machine.device, self._result)
        self._timers.drop(entry.facts.job_id)
        del self.open[entry.facts.job_id]
        now = entry.progress()
        write = partial(self._end, entry, now, ended, now_ms)
        self._disk.then(entry, write, partial(self._ended, entry, now, ended, now_ms))

    def _end(self, entry: Entry, now: Progress, ended: Ending, now_ms: int) -> None:
        self._journal.end(entry.facts, now, ended, now_ms)
        if now.state != "succeeded":
            heard = bool(entry.waiters or entry.watchers or self.telling.watchers)
            self._late_results.ended(entry.facts, now.device, now.state, ended, heard=heard)

    def _ended(self, entry: Entry, now: Progress, ended: Ending, now_ms: int) -> None:
        took = now_ms - entry.facts.submitted_ms
        self.usual_ms += _SMOOTH * (took - self.usual_ms)
        self.telling.ended(entry, now, ended, now_ms)

    # --------------------------------------------------------------------------------------------- what comes in

    def result(self, device: bytes, result: JobResult) -> None:
        """A device's result, from its own signed message.

        Raises:
            CertificateExpired: its certificate has ended, and the job is no alert.
        """
        entry = self.open.get(result.job_id)
        if entry is None or not is_alert(entry.facts.priority, entry.facts.effects):
            # It keeps the result, and tells it again with its renewed certificate.
            self._devices.check_current(device, self._clock.now_ms())
        if entry is None:
            self._late(device, result)
            return
        self._result = read = clean(device, result)
        if result.outcome == "succeeded" and read.outcome != "succeeded":
            self._late_results.unreadable(device, result)
        result = read
        self._measuring.result(entry, device, result)
        self.tell(entry, event(device, result))
        self._result = None

    def _late(self, device: bytes, result: JobResult) -> None:
        """A result of a job that has ended, or is not known: it is written down, and the device may forget it."""
        log.info("late result", extra={"job": result.job_id.hex(), "device": device.hex()[:8]})
        try:
            self._late_results.result(device, result, self._clock.now_ms())
        except KindmeshError as error:
            log.error("a late result was not noted", extra={"code": error.code})
            return
        self._store.after_commit(partial(self._late_noted, device, result))

    def _late_noted(self, device: bytes, result: JobResult, error: KindmeshError | None) -> None:
        if error is None:
            self._taking.taken(device, result.job_id, result.epoch)

    def device_lost(self, device: bytes) -> None:
        """A device is away: jobs on it move or wait."""
        for entry in list(self.open.values()):
            if device in (entry.machine.device, entry.machine.second):
                self.tell(entry, DeviceLost(device))

    def device_removed(self, device: bytes) -> None:
        """A device is no member any more: its jobs move or end."""
        for entry in list(self.open.values()):
            self.tell(entry, DeviceRemoved(device))

    def device_drains(self, device: bytes, *, move: bool) -> None:
        """A device is going to be switched off; `move`: what runs there had its time to finish."""
        for entry in [entry for entry in self.open.values() if entry.machine.device == device]:
            self.tell(entry, DeviceDrains(device, move))

    def device_back(self, device: bytes) -> None:
        """A device has a new session, or speaks again."""
        for entry in list(self.open.values()):
            machine = entry.machine
            if machine.device == device or machine.wants_place or device in machine.older:
                self.tell(entry, DeviceBack(device))

    def _retry(self, entry: Entry) -> None:
        self.tell(entry, RetryDue())

    def place_waiting(self) -> None:
        """What devices offer has changed: try all that wait for one."""
        for entry in [entry for entry in self.open.values() if entry.machine.wants_place]:
            self.tell(entry, RetryDue())

    # ----------------------------------------------------------------------------------------------------- time

    def ring(self) -> None:
        """Look at the clock; called every now and then, in case it was set."""
        self._timers.ring()

    def _rearm(self, entry: Entry) -> None:
        machine = entry.machine
        end_ms = machine.deadline_ms + GRACE_MS if machine.overdue else machine.deadline_ms
        due = min(self._clock.now_ms() + LOOK_MS, end_ms)
        for wanted in (entry.retry_ms, entry.hedge_at_ms):
            if 0 < wanted < due:
                due = wanted
        self._timers.at(entry.facts.job_id, due)

    def _due(self, job_id: bytes) -> None:
        entry = self.open.get(job_id)
        if entry is None:
            if job_id in self._unread:
                self._read_anew(self._unread[job_id])
            return
        if entry.asleep:
            self._wake(entry)
            return
        now_ms = self._clock.now_ms()
        if 0 < entry.hedge_at_ms <= now_ms < entry.machine.deadline_ms:
            entry.hedge_at_ms = 0
            self.tell(entry, HedgeDue())
        retry_due = 0 < entry.retry_ms <= now_ms
        if retry_due:
            entry.retry_ms = 0
        if now_ms >= entry.machine.deadline_ms:
            self.tell(entry, DeadlinePassed())
        elif retry_due:
            self.tell(entry, RetryDue())
        else:
            self._rearm(entry)

    # ------------------------------------------------------------------------------------------------- the disk

    def _repair(self, entry: Entry, error: KindmeshError) -> None:
        """The turn was undone: what memory believes of this job is not so."""
        if entry.repaired:
            return
        entry.repaired = True
        log.error("the journal failed", extra={"code": error.code, "job": entry.facts.job_id.hex()})
        acknowledged, entry.acknowledged = entry.acknowledged, None
        self._drop(entry)
        if acknowledged is not None:
            acknowledged(error)
            return
        self._read_anew(entry)

    def _later(self, before: Entry) -> None:
        self._unread[before.facts.job_id] = before
        self._timers.at(before.facts.job_id, self._clock.now_ms() + REPAIR_MS)

    def _read_anew(self, before: Entry) -> None:
        """Go on from what is on the disk; while that cannot be read, try again a little later."""
        job_id = before.facts.job_id
        self._unread.pop(job_id, None)
        try:
            row = self._journal.load(job_id)
        except KindmeshError as error:
            log.error("the journal cannot be read", extra={"code": error.code, "job": job_id.hex()})
            self._later(before)
            return
        if row is not None and not row.ended_ms:
            self.resume(row, before)

    def _drop(self, entry: Entry) -> None:
        if self._is_open(entry):
            del self.open[entry.facts.job_id]
        self._timers.drop(entry.facts.job_id)
        self.placer.occupy(entry, b"")
        self.placer.occupy_second(entry, b"")

    def save(self) -> None:
        """Write all stories now."""
        self._disk.save()

    def close(self) -> None:
        """Stop: timers end, stories are written. Open jobs go on at the next start."""
        self._timers.close()
        self._taking.close()
        self._disk.save()
        self.open.clear()


__all__ = ["Dispatch"]
