"""Schedules at work: looks at the clock, tells each machine, writes down what it decides, starts what is due.

Thin: what is due is computed in `instants`, what follows from it in `schedule_machine`. A firing is on the disk before
anything is started for it, and what is started has the firing's key, so `kill -9` between any two steps neither loses
nor doubles it. When something cannot be written, memory is made anew from the journal, and tried again at the next
look. The wall clock is looked at every `LOOK_MS`, because somebody may set it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from kindmesh.coordinator.heart.schedules import machine_words as w
from kindmesh.coordinator.heart.schedules.instants import is_timed, next_due, passed
from kindmesh.coordinator.heart.schedules.journal import Row, ScheduleJournal
from kindmesh.coordinator.heart.schedules.schedule_machine import OPEN_MAX, ScheduleMachine, grace_of
from kindmesh.coordinator.heart.schedules.starter import Starter, may_pass
from kindmesh.coordinator.heart.schedules.triggers import Bus, Trigger
from kindmesh.coordinator.heart.schedules.words import SCHEDULES_MAX, OnEvent, Schedule
from kindmesh.mesh.clock import Clock
from kindmesh.protocol.errors import Busy, InvalidInput, InvalidTransition, KindmeshError
from kindmesh.protocol.messages.events import MeshEvent
from kindmesh.protocol.principal import Principal, belongs_to, principal_text

log = logging.getLogger("kindmesh.coordinator.schedules")

LOOK_MS: Final = 5_000
"""The longest time between two looks at the clock, while there is a schedule."""
PLAUSIBLE_MS: Final = 1_767_225_600_000
"""2026-01-01: no clock that reads earlier is right."""
News = Callable[[dict[str, Any]], None]


class Held:
    """One schedule in memory."""

    __slots__ = ("machine", "pruned_ms", "schedule", "tasks", "timers", "trigger", "wake_ms")

    def __init__(self, row: Row) -> None:
        self.schedule: Schedule = row.schedule
        self.pruned_ms = row.pruned_ms
        self.machine = ScheduleMachine(
            row.schedule.rules,
            row.cursor_ms,
            delay_ms=row.schedule.delay_ms,
            timed=is_timed(row.schedule.when),
        )
        self.wake_ms = 0
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.timers: dict[int, asyncio.TimerHandle] = {}
        self.trigger: Trigger | None = None

    def let_go(self) -> None:
        """Nothing follows from it any more."""
        for task in self.tasks.values():
            task.cancel()
        for timer in self.timers.values():
            timer.cancel()
        if self.trigger is not None:
            self.trigger.close()


class Schedules:
    """See the module. `start` once, `close` once; `news` tells whoever watches; `trusted_ms` is the mesh's time, used
    while this machine's own clock cannot be right."""

    def __init__(
        self,
        *,
        journal: ScheduleJournal,
        starter: Starter,
        clock: Clock,
        trusted_ms: Callable[[], int],
        news: News,
        bus: Bus | None = None,
        is_gone: Callable[[Principal], bool] = lambda maker: False,
        may_hear: Callable[[Principal, MeshEvent], bool] = lambda maker, event: True,
    ) -> None:
        """`is_gone`: whether who made a schedule was removed from the mesh; `may_hear`: whether they may know of an
        event on the `bus`."""
        self.journal = journal
        self.starter = starter
        self._clock = clock
        self._trusted_ms = trusted_ms
        self._news = news
        self._bus = bus
        self._is_gone = is_gone
        self._may_hear = may_hear
        self._held: dict[bytes, Held] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._running = False

    # --------------------------------------------------------------------------------------------- begin and end

    def start(self) -> None:
        """Read the journal; firings under way go on, and what became due meanwhile is decided.

        Raises:
            DiskFull, StoreDamaged, StoreError.
        """
        self._running = True
        for row in self.journal.all():
            self._take(row)
        for held in list(self._held.values()):
            if self._is_gone(held.schedule.maker) and held.machine.state != "stopped":
                self._tell(held, w.MakerGone("who made it was removed from the mesh"))
        self.look()

    async def close(self) -> None:
        """Stop. What was decided is on the disk, and goes on at the next start."""
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
        tasks = [task for held in self._held.values() for task in held.tasks.values()]
        for held in self._held.values():
            held.let_go()
        await asyncio.gather(*tasks, *self._ending, return_exceptions=True)
        self._held.clear()

    def _take(self, row: Row) -> Held:
        """Have a schedule of the journal in memory, as it stands there."""
        id_ = row.schedule.schedule_id
        before = self._held.get(id_)
        if before is not None:
            self._drop(before)
        held = self._held[id_] = Held(row)
        firings = self.journal.open(id_)
        phases: dict[int, w.Phase] = {}
        for firing in firings:
            for phase in ("waiting", "starting", "started"):
                if firing.state == phase:
                    phases[firing.due_ms] = phase
        taken = frozenset(self.journal.taken(id_, row.cursor_ms))
        held.machine.resume(row.state, row.why, taken, phases)
        self._tell(held, w.Restarted())
        for firing in firings:
            if firing.state == "started":
                self._follow(held, firing.due_ms, firing.ref)
        if isinstance(row.schedule.when, OnEvent) and self._bus is not None:
            held.trigger = self._trigger(held, row.schedule.when, row.watched)
            held.trigger.listen(self._bus, row.schedule.name)
        return held

    def _trigger(self, held: Held, when: OnEvent, watched: bytes) -> Trigger:
        return Trigger(
            when,
            watched,
            now_ms=self.now_ms,
            may_hear=partial(self._may_hear, held.schedule.maker),
            fire=partial(self._fire, held),
            save=partial(self.journal.watch, held.schedule.schedule_id),
        )

    def _fire(self, held: Held, why: str) -> None:
        """A trigger: something happened that the schedule waits for."""
        self.tick(held)
        if self._running and held.machine.state in ("active", "paused"):
            self._tell(held, w.Triggered(self.new_due(held), why))

    def _drop(self, held: Held) -> None:
        held.let_go()
        for task in held.tasks.values():
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    # ------------------------------------------------------------------------------------------------- the clock

    def now_ms(self) -> int:
        """Wall-clock time: this machine's own, which people set right, unless it cannot be (a board without a clock
        starts in 1970); then the mesh's."""
        own_ms = self._clock.now_ms()
        return own_ms if own_ms >= PLAUSIBLE_MS else self._trusted_ms()

    def look(self) -> None:
        """Decide whatever is due now, and come back when the next is."""
        for held in list(self._held.values()):
            self.tick(held)
        self._arm()

    def tick(self, held: Held) -> None:
        """Decide what of one schedule is due now."""
        machine, now_ms = held.machine, self.now_ms()
        if machine.state == "stopped":
            return
        back_ms = max(now_ms, held.pruned_ms)
        if back_ms < machine.cursor_ms:
            if back_ms < machine.cursor_ms - LOOK_MS:
                log.warning("the clock was set back", extra={"schedule": held.schedule.schedule_id.hex()})
            taken = self.journal.taken(held.schedule.schedule_id, back_ms)
            self._tell(held, w.ClockSetBack(back_ms, taken))
        elif machine.next_ms and now_ms < held.wake_ms:
            return
        if machine.state in ("active", "paused"):
            self._tell(held, self._tick_of(held, now_ms))

    def _tick_of(self, held: Held, now_ms: int) -> w.Tick:
        schedule, machine = held.schedule, held.machine
        until_ms = max(machine.cursor_ms, now_ms - schedule.delay_ms)
        due, older = passed(schedule, machine.cursor_ms, until_ms)
        following = next_due(schedule, until_ms)
        return w.Tick(
            until_ms,
            tuple(w.Passed(one.at_ms, one.why_not) for one in due),
            older,
            0 if following is None else following.at_ms,
        )

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._running or not self._held:
            return
        now_ms = self.now_ms()
        wait_ms = LOOK_MS
        for held in self._held.values():
            if held.machine.next_ms and held.machine.state in ("active", "paused"):
                wait_ms = min(wait_ms, max(held.wake_ms - now_ms, 0))
        self._timer = asyncio.get_running_loop().call_later(max(wait_ms, 1) / 1000, self.look)

    # ------------------------------------------------------------------------------------------ the machine's wishes

    def _tell(self, held: Held, event: w.Event) -> None:
        """Tell a schedule's machine, write down what it decides, and act once that is on the disk."""
        now_ms = self.now_ms()
        try:
            instructions = held.machine.handle(event, now_ms)
        except InvalidTransition as error:
            log.error("a bug in the schedule machine", extra={"story": error.story})
            return
        acts: list[Callable[[], None]] = []
        try:
            for instruction in instructions:
                act = self._do(held, instruction, now_ms)
                if act is not None:
                    acts.append(act)
        except KindmeshError as error:
            asyncio.get_running_loop().call_soon(self._repair, held, error)
            return
        if instructions:
            self.journal.store.after_commit(partial(self._written, held, acts))

    def _do(self, held: Held, wish: w.Instruction, now_ms: int) -> Callable[[], None] | None:
        """Write one instruction; returns what follows once it is on the disk."""
        journal, id_, machine = self.journal, held.schedule.schedule_id, held.machine
        match wish:
            case w.Begin():
                if not journal.begin(
                    id_, wish.due_ms, "starting", now_ms, late_ms=wish.late_ms, why=wish.why
                ):
                    raise InvalidTransition("a firing was begun twice", story=tuple(machine.story))
                return partial(self._start, held, wish.due_ms)
            case w.Wait():
                journal.begin(id_, wish.due_ms, "waiting", now_ms, why=wish.why)
            case w.Started():
                journal.started(id_, wish.due_ms, wish.ref)
                return partial(self._tell_news, held, wish.due_ms, "started", "")
            case w.StartAgain():
                return partial(self._start, held, wish.due_ms)
            case w.Retry():
                delay_s = max(0, wish.at_ms - now_ms) / 1000
                loop = asyncio.get_running_loop()
                held.timers[wish.due_ms] = loop.call_later(delay_s, self._retry, held, wish.due_ms)
            case w.Close():
                dropped_ms = journal.close(id_, wish.due_ms, wish.outcome, wish.why, now_ms)
                held.pruned_ms = max(held.pruned_ms, dropped_ms)
                return partial(self._tell_news, held, wish.due_ms, wish.outcome, wish.why)
            case w.Miss():
                journal.miss(id_, wish, now_ms)
                return partial(self._tell_news, held, wish.due_ms, "missed", wish.why)
            case w.Retract():
                journal.retract(id_, wish.after_ms)
            case w.Keep():
                journal.keep(id_, machine.state, machine.why, machine.cursor_ms)
            case w.Wake():
                held.wake_ms = wish.at_ms
        return None

    def _written(self, held: Held, acts: Iterable[Callable[[], None]], error: KindmeshError | None) -> None:
        if error is not None:
            self._repair(held, error)
        elif self._running and self._held.get(held.schedule.schedule_id) is held:
            for act in acts:
                act()

    def _repair(self, held: Held, error: KindmeshError) -> None:
        """It could not be written: what memory believes is not so."""
        id_ = held.schedule.schedule_id
        log.error("the journal of schedules failed", extra={"code": error.code, "schedule": id_.hex()})
        if not self._running or self._held.get(id_) is not held:
            return
        for row in self.journal.all():
            if row.schedule.schedule_id == id_:
                self._take(row)
                return
        self._drop(self._held.pop(id_))

    def _tell_news(self, held: Held, due_ms: int, what: str, why: str) -> None:
        self._news(
            {"event": "schedule", "name": held.schedule.name, "due_ms": due_ms, "what": what, "why": why}
        )

    # ----------------------------------------------------------------------------------------------- what is started

    def _start(self, held: Held, due_ms: int) -> None:
        self._task(held, due_ms, self._begin(held, due_ms))

    def _follow(self, held: Held, due_ms: int, ref: bytes) -> None:
        self._task(held, due_ms, self._await_end(held, due_ms, ref))

    def _task(self, held: Held, due_ms: int, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work, name=f"schedule {due_ms}")
        held.tasks[due_ms] = task
        task.add_done_callback(partial(self._done, held, due_ms))

    def _done(self, held: Held, due_ms: int, task: asyncio.Task[None]) -> None:
        if held.tasks.get(due_ms) is task:
            del held.tasks[due_ms]
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("a schedule's run went wrong", exc_info=error)

    async def _begin(self, held: Held, due_ms: int) -> None:
        schedule = held.schedule
        patience_ms = due_ms + schedule.delay_ms + grace_of(schedule.rules) - self.now_ms()
        try:
            ref = await self.starter.start(schedule, due_ms, max(0, patience_ms))
        except KindmeshError as error:
            why = f"{error.message} ({error.code})"
            self._tell(held, w.StartRefused(due_ms, why, may_pass(error)))
            return
        self._tell(held, w.StartDone(due_ms, ref))
        await self._await_end(held, due_ms, ref)

    async def _await_end(self, held: Held, due_ms: int, ref: bytes) -> None:
        outcome = await self.starter.ended(held.schedule, ref)
        self._tell(held, w.RunEnded(due_ms, outcome))

    def _retry(self, held: Held, due_ms: int) -> None:
        del held.timers[due_ms]
        self._tell(held, w.RetryDue(due_ms))

    # -------------------------------------------------------------------------------------------- what people want

    def all(self) -> list[Held]:
        """Every schedule, oldest first."""
        return list(self._held.values())

    def find(self, name: str) -> Held | None:
        """The schedule of that name."""
        return next((held for held in self._held.values() if held.schedule.name == name), None)

    async def add(self, schedule: Schedule) -> Held:
        """Take a new schedule; returns when it is on the disk.

        Raises:
            InvalidInput: its name is taken. Busy: there are too many. DiskFull, StoreError.
        """
        if self.find(schedule.name) is not None:
            raise InvalidInput(
                f"there is a schedule {schedule.name!r} already",
                field="name",
                hint=f"Choose another name, or kindmesh schedule remove {schedule.name} first.",
            )
        if len(self._held) >= SCHEDULES_MAX:
            raise Busy(
                f"there are {SCHEDULES_MAX} schedules already",
                hint="Remove some that have ended: kindmesh schedule list.",
            )
        self.journal.add(schedule, schedule.created_ms)
        row = Row(schedule, "active", "", schedule.created_ms, 0, b"")
        held = self._take(row)
        try:
            await self.journal.store.durable()
        except KindmeshError:
            if self._held.get(schedule.schedule_id) is held:
                del self._held[schedule.schedule_id]
            raise
        self.look()
        return held

    async def change(self, held: Held, event: w.PauseAsked | w.ResumeAsked) -> None:
        """Pause or resume it; returns when that is on the disk.

        Raises:
            InvalidInput: it is not in a state for that. DiskFull, StoreError.
        """
        wanted = "active" if isinstance(event, w.PauseAsked) else "paused"
        self.tick(held)
        if held.machine.state != wanted:
            raise InvalidInput(f"{held.schedule.name} is {held.machine.state}, not {wanted}", field="name")
        self._tell(held, event)
        await self.journal.store.durable()
        self.look()

    async def run_now(self, held: Held, by: str) -> int:
        """Start it now; the due instant of that firing, once it is on the disk.

        Raises:
            InvalidInput: it is stopped. Busy: too many of its runs have not ended. DiskFull, StoreError.
        """
        self.tick(held)
        if held.machine.state == "stopped":
            raise InvalidInput(f"{held.schedule.name} is stopped: {held.machine.why}", field="name")
        if len(held.machine.open) >= OPEN_MAX:
            raise Busy(f"{OPEN_MAX} runs of it have not ended", hint="Wait for them: kindmesh jobs.")
        due_ms = self.new_due(held)
        self._tell(held, w.RunNow(due_ms, by))
        await self.journal.store.durable()
        return due_ms

    def new_due(self, held: Held) -> int:
        """A due instant of now that no firing has."""
        due_ms = self.now_ms()
        while not self.journal.is_free(held.schedule.schedule_id, due_ms):
            due_ms += 1
        return due_ms

    async def remove(self, held: Held) -> None:
        """Forget it and its history; what it started goes on. Raises DiskFull, StoreError."""
        self.journal.remove(held.schedule.schedule_id)
        await self.journal.store.durable()
        self._drop(held)
        self._held.pop(held.schedule.schedule_id, None)

    def leave(self, who: Principal) -> None:
        """Somebody was removed from the mesh: what they, or what acted for them, made stops, visibly."""
        for held in list(self._held.values()):
            if held.machine.state != "stopped" and belongs_to(who, principal_text(held.schedule.maker)):
                name = who.name or principal_text(who)
                self._tell(held, w.MakerGone(f"{name}, who made it, was removed from the mesh"))


__all__ = ["LOOK_MS", "Held", "News", "Schedules"]
