"""The job machine against a world that does whatever it likes, within what devices promise.

Two devices keep a job table as the node does: the same attempt is answered, a later one takes over, what may not
be done twice is never begun again. Messages are late, doubled and lost; devices and the coordinator restart; verdicts
come or do not. In every such story: the job ends once; what must not be done twice is done at most once; what the
machine by itself calls not done was never begun; and when the world calms down, every job has ended.
"""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kindmesh.coordinator.heart.machine import JobMachine
from kindmesh.coordinator.heart.machine_words import (
    Accepted,
    AckResult,
    ApprovalNeeded,
    AskPermit,
    CancelAsked,
    DeadlinePassed,
    DeviceBack,
    DeviceDrains,
    DeviceLost,
    Event,
    Finish,
    HedgeDue,
    Instruction,
    NoCandidate,
    Permitted,
    Place,
    Placed,
    PlaceSecond,
    Preempted,
    Refused,
    Restarted,
    ResultArrived,
    RetryDue,
    ReviewerGone,
    Running,
    ScheduleHedge,
    ScheduleRetry,
    SecondPlaced,
    SendCancel,
    SendFailed,
    SendJob,
    State,
    Submitted,
)
from kindmesh.protocol.manifest import Effect

DEVICES = (b"A" * 20, b"B" * 20)
DEADLINE = 60_000


class Table(msgspec.Struct):
    """What one device knows of the job."""

    epoch: int = 0
    permit: int = -1
    state: str = "none"
    outcome: str = ""
    begun: bool = False


class World(RuleBasedStateMachine):
    @initialize(
        effects=st.sampled_from([Effect.READ, Effect.SENSE, Effect.WRITE, Effect.NOTIFY | Effect.READ]),
        idempotent=st.booleans(),
        budget=st.sampled_from([0, 30_000]),
        hedge_ms=st.sampled_from([-1, 0]),
    )
    def begin(self, effects: Effect, idempotent: bool, budget: int, hedge_ms: int) -> None:
        self.hedge_ms = hedge_ms
        self.now = 1
        self.effects, self.idempotent, self.budget = int(effects), idempotent, budget
        self.machine = self.new_machine()
        self.tables = {device: Table() for device in DEVICES}
        self.here = dict.fromkeys(DEVICES, True)
        self.to_devices: list[
            tuple[int, bytes, int, int, bool]
        ] = []  # number, device, epoch, permit, is a cancel
        self.sent = 0
        self.seen: set[int] = set()
        self.to_us: list[Event] = []
        self.placing = False
        self.asked: int | None = None
        self.asked_second: int | None = None
        self.placing_second = self.hedge_due = False
        self.permit = 0
        self.permits: dict[int, int] = {}
        self.saved_lease: tuple[bytes, int] = (b"", 0)
        self.saved: tuple[Any, ...] = ()
        self.due = 0
        self.finished: list[Finish] = []
        self.by_itself: Finish | None = None
        self.executions = 0
        self.tell(Submitted())

    @precondition(lambda self: self.open() and self.hedge_due)
    @rule()
    def hedge(self) -> None:
        self.hedge_due = False
        self.tell(HedgeDue())

    @precondition(lambda self: self.open() and self.placing_second)
    @rule(which=st.integers(0, 1))
    def place_second(self, which: int) -> None:
        self.placing_second = False
        if self.here[DEVICES[which]]:
            self.tell(SecondPlaced(DEVICES[which], "it is here, too"))

    @precondition(lambda self: self.open() and self.asked_second is not None)
    @rule(answer=st.sampled_from(["yes", "yes", "yes", "ask", "gone", "no"]))
    def verdict_on_second(self, answer: str) -> None:
        epoch, self.asked_second = self.asked_second, None
        assert epoch is not None
        events: dict[str, Event] = {
            "yes": Permitted(epoch, b"p" * 16, 1, "uid"),
            "ask": ApprovalNeeded(epoch, self.now + 20_000),
            "gone": ReviewerGone(epoch),
            "no": Refused(epoch, "DENIED", "no"),
        }
        if answer == "yes":
            self.permit += 1
            self.permits[epoch] = self.permit
        elif epoch == self.machine.epoch:
            # It took the place of the first meanwhile, and is judged like any other.
            self.asked = epoch
            return
        self.tell(events[answer])

    def new_machine(self) -> JobMachine:
        return JobMachine(
            b"j" * 16,
            effects=self.effects,
            idempotent=self.idempotent,
            deadline_ms=DEADLINE,
            budget_ms=self.budget,
            hedge_ms=self.hedge_ms,
        )

    def open(self) -> bool:
        return not self.finished

    def tell(self, event: Event) -> None:
        for instruction in self.machine.handle(event, self.now):
            self.obey(instruction)
        self.machine.validate()

    def obey(self, instruction: Instruction) -> None:
        match instruction:
            case Place():
                self.placing = True
            case AskPermit(device, epoch):
                if epoch == self.machine.second_epoch:
                    self.asked_second = epoch
                    self.saved_lease = (self.machine.device, epoch)
                    return
                self.asked = epoch
                self.placing = False
                self.saved_lease = (device, self.machine.top)
            case PlaceSecond():
                self.placing_second = True
            case ScheduleHedge():
                self.hedge_due = True
            case SendJob(device, epoch):
                assert epoch in self.permits, "sent without a permit"
                if self.here[device]:
                    self.sent += 1
                    self.to_devices.append((self.sent, device, epoch, self.permits[epoch], False))
                else:
                    self.to_us.append(SendFailed(epoch, "unreachable"))
            case SendCancel(device, epoch):
                if self.here[device]:
                    self.sent += 1
                    self.to_devices.append((self.sent, device, epoch, 0, True))
            case Finish():
                self.finished.append(instruction)
                if not instruction.take:
                    self.by_itself = instruction
            case AckResult():
                pass
            case ScheduleRetry(at_ms):
                self.due = at_ms

    # What the driver, Medulla and people do.

    @precondition(lambda self: self.open() and self.machine.wants_place)
    @rule(choice=st.integers(0, 2), busy=st.booleans())
    def place(self, choice: int, busy: bool) -> None:
        here = [device for device in DEVICES if self.here[device]]
        if choice < len(here):
            self.tell(Placed(here[choice], "it is here"))
        else:
            self.tell(NoCandidate("nobody", busy))

    @precondition(lambda self: self.open() and self.asked is not None)
    @rule(answer=st.sampled_from(["yes", "yes", "yes", "ask", "gone", "no"]))
    def verdict(self, answer: str) -> None:
        epoch = self.asked
        assert epoch is not None
        if answer == "yes":
            self.permit += 1
            if self.machine.asking and epoch == self.machine.epoch:
                self.permits[epoch] = self.permit
            approved = self.machine.state == "waiting_approval"
            self.asked = None
            self.tell(Permitted(epoch, b"p" * 16, 1, "uid"))
            if approved:
                self.save(permit=True)
        elif answer == "ask":
            self.tell(ApprovalNeeded(epoch, self.now + 20_000))
            self.save(permit=False)
        elif self.machine.state == "waiting_approval" and answer == "gone":
            return
        else:
            self.asked = None
            self.tell(ReviewerGone(epoch) if answer == "gone" else Refused(epoch, "DENIED", "no"))

    def save(self, *, permit: bool) -> None:
        """What the driver writes at once: that a person is asked, and what follows from the answer."""
        machine = self.machine
        self.saved = (
            machine.state,
            machine.lease,
            machine.epoch,
            machine.device,
            permit,
            machine.deadline_ms,
        )

    @precondition(lambda self: self.open())
    @rule()
    def cancel(self) -> None:
        self.tell(CancelAsked("owner"))

    @precondition(lambda self: self.open())
    @rule()
    def make_room(self) -> None:
        self.tell(Preempted("something urgent"))

    @precondition(lambda self: self.open())
    @rule(which=st.integers(0, 1), move=st.booleans())
    def switch_off_soon(self, which: int, move: bool) -> None:
        self.tell(DeviceDrains(DEVICES[which], move))

    @precondition(lambda self: self.open())
    @rule(ms=st.sampled_from([100, 2_000, 10_000, 70_000]))
    def wait(self, ms: int) -> None:
        self.now += ms
        self.clock()

    def clock(self) -> None:
        if self.open() and self.now >= self.machine.deadline_ms:
            self.tell(DeadlinePassed())
        if self.open() and self.now >= self.due:
            self.tell(RetryDue())

    @precondition(lambda self: self.open())
    @rule(keep_permit=st.booleans(), story=st.booleans())
    def restart_coordinator(self, keep_permit: bool, story: bool) -> None:
        """What was not written is gone; verdicts and undelivered messages too. Devices have to connect again."""
        before = self.machine
        device, epoch = self.saved_lease
        lease = before.lease
        state: State = "queued"
        if self.saved and self.saved[2] == epoch and self.saved[3] == device:
            state, lease = self.saved[0], self.saved[1]
            keep_permit = keep_permit or self.saved[4]
        elif story:
            state = before.state
        self.machine = self.new_machine()
        self.machine.deadline_ms = before.deadline_ms
        self.machine.resume(state, device, epoch, lease, list(before.story))
        self.to_us = [event for event in self.to_us if isinstance(event, ResultArrived)]
        self.here = dict.fromkeys(DEVICES, False)
        if self.machine.state != "waiting_approval":
            self.asked = None
        self.asked_second, self.hedge_due, self.placing_second = None, False, False
        self.placing = False
        self.tell(Restarted(keep_permit and epoch in self.permits))

    # What devices and links do.

    @precondition(lambda self: self.open() and self.to_us)
    @rule(which=st.integers(0, 9), keep=st.booleans())
    def hear(self, which: int, keep: bool) -> None:
        event = self.to_us[which % len(self.to_us)]
        if isinstance(event, SendFailed):
            self.to_us.remove(event)
            second = event.epoch == self.machine.second_epoch
            if not second and (self.machine.state != "placed" or self.machine.epoch != event.epoch):
                return
        elif not keep:
            self.to_us.remove(event)
        if isinstance(event, (Accepted, Running)) and self.machine.state not in ("placed", "accepted"):
            return
        self.tell(event)

    @precondition(lambda self: self.to_devices)
    @rule(
        which=st.integers(0, 9),
        keep=st.booleans(),
        busy=st.sampled_from(["", "", "", "BUSY", "PERMIT_EXPIRED"]),
    )
    def deliver(self, which: int, keep: bool, busy: str) -> None:
        message = self.to_devices[which % len(self.to_devices)]
        if not keep:
            self.to_devices.remove(message)
        self.arrive(*message, busy)

    def arrive(self, number: int, device: bytes, epoch: int, permit: int, is_cancel: bool, busy: str) -> None:
        if number in self.seen:
            return
        self.seen.add(number)
        table = self.tables[device]
        repeatable = self.idempotent or self.effects == Effect.READ
        if is_cancel:
            if table.state == "running" and table.epoch <= epoch:
                self.end(device, "cancelled")
            return
        if table.state != "none" and epoch < table.epoch:
            self.refuse(device, epoch, "PERMIT_STALE")
            return
        if table.state != "none" and epoch == table.epoch:
            assert permit == table.permit, "the same attempt with another permit"
            self.answer(device)
            return
        if table.state == "running":
            table.epoch, table.permit = epoch, permit
            self.answer(device)
            return
        if table.state == "done" and (table.outcome == "succeeded" or (table.begun and not repeatable)):
            table.epoch, table.permit = epoch, permit
            self.answer(device)
            return
        if busy:
            self.refuse(device, epoch, busy)
            return
        self.executions += 1
        self.tables[device] = Table(epoch, permit, "running", "", begun=True)
        self.answer(device)

    def refuse(self, device: bytes, epoch: int, code: str) -> None:
        self.to_us.append(ResultArrived(device, epoch, "failed", code, begun=False))

    def answer(self, device: bytes) -> None:
        table = self.tables[device]
        if table.state == "running":
            self.to_us.append(Accepted(device, table.epoch))
            self.to_us.append(Running(device, table.epoch))
        elif table.state == "done":
            outcome: Any = table.outcome
            code = {"failed": "CAPABILITY", "cancelled": "CANCELLED"}.get(outcome, "")
            self.to_us.append(ResultArrived(device, table.epoch, outcome, code, begun=table.begun))

    def end(self, device: bytes, outcome: str) -> None:
        table = self.tables[device]
        table.state, table.outcome = "done", outcome
        self.answer(device)

    @precondition(lambda self: any(table.state == "running" for table in self.tables.values()))
    @rule(which=st.integers(0, 1), outcome=st.sampled_from(["succeeded", "succeeded", "failed", "uncertain"]))
    def work_ends(self, which: int, outcome: str) -> None:
        if self.tables[DEVICES[which]].state == "running":
            self.end(DEVICES[which], outcome)

    @rule(which=st.integers(0, 1), kill=st.booleans())
    def lose(self, which: int, kill: bool) -> None:
        device = DEVICES[which]
        if kill:
            self.to_devices = [message for message in self.to_devices if message[1] != device]
            self.killed(device)
        if self.here[device]:
            self.here[device] = False
            if self.open():
                self.tell(DeviceLost(device))

    def killed(self, device: bytes) -> None:
        table = self.tables[device]
        if table.state == "running":
            repeatable = self.idempotent or self.effects == Effect.READ
            self.end(device, "interrupted" if repeatable else "uncertain")
            self.to_us.pop()

    @rule(which=st.integers(0, 1))
    def come_back(self, which: int) -> None:
        device = DEVICES[which]
        self.here[device] = True
        if self.open():
            self.tell(DeviceBack(device))
        if self.tables[device].state == "done":
            self.answer(device)

    # What always holds.

    @invariant()
    def it_ends_once(self) -> None:
        assert len(self.finished) <= 1

    @invariant()
    def what_may_not_be_done_twice_is_not(self) -> None:
        if not (self.idempotent or self.effects == Effect.READ):
            assert self.executions <= 1

    @invariant()
    def an_open_job_waits_for_somebody(self) -> None:
        machine = self.machine
        if self.open() and machine.state == "queued":
            assert machine.wants_place or machine.asking or self.due > 0
        if self.open() and machine.state == "waiting_device":
            assert machine.why

    def teardown(self) -> None:
        if not hasattr(self, "machine"):
            return
        self.calm_down()
        assert len(self.finished) == 1, f"never ended: {self.machine.story}"
        self.drain()
        self.it_ends_once()
        self.what_may_not_be_done_twice_is_not()
        final = self.finished[0]
        if final.state == "succeeded":
            assert self.executions
        effectful = self.effects & ~int(Effect.READ | Effect.SENSE)
        known = self.by_itself is not None and self.by_itself.state != "uncertain"
        if known and effectful and not self.idempotent:
            assert self.executions == 0, f"{final} but it was begun: {self.machine.story}"

    def calm_down(self) -> None:
        for _ in range(40):
            if not self.open():
                return
            self.drain()
            for device in DEVICES:
                if self.open() and not self.here[device]:
                    self.here[device] = True
                    self.tell(DeviceBack(device))
            if self.open() and self.machine.wants_place:
                self.tell(Placed(DEVICES[0], "calm"))
            if self.open() and self.asked is not None:
                self.verdict("yes")
            if self.open() and self.asked_second is not None:
                self.verdict_on_second("yes")
            self.now += 5_000
            self.clock()

    def drain(self) -> None:
        while self.to_devices:
            self.arrive(*self.to_devices.pop(0), "")
        for device in DEVICES:
            if self.tables[device].state == "running":
                self.end(device, "succeeded")
        while self.open() and self.to_us:
            self.hear(0, keep=False)
        self.to_us.clear()


World.TestCase.settings = settings(settings.default, stateful_step_count=40)
TestAnyStory = World.TestCase
