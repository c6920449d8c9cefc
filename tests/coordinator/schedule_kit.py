"""Schedules over a Heart with a real journal, in virtual time.

The desk's own wall clock is set by the test, as a person would. Hours in which nothing is due pass at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.coordinator.heart_kit import Rig

from kindmesh.coordinator.heart.runs.runs import Runs
from kindmesh.coordinator.heart.schedules import words as s
from kindmesh.coordinator.heart.schedules.journal import Firing, ScheduleJournal
from kindmesh.coordinator.heart.schedules.plan_starter import Starters
from kindmesh.coordinator.heart.schedules.service import Held, Schedules
from kindmesh.coordinator.heart.schedules.starter import JobStarter
from kindmesh.coordinator.heart.schedules.zones import to_ms
from kindmesh.mesh.bus import EventBus
from kindmesh.mesh.vault import RunVault
from kindmesh.mesh.virtual import SeededEntropy, SimulatedClock, run_virtual
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.ids import new_id
from kindmesh.protocol.principal import OWNER, Principal

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
PILLS = s.Action("notes.append", encode_value({"text": "the pills"}))


def ms(text: str) -> int:
    return to_ms(datetime.fromisoformat(text).replace(tzinfo=UTC))


class TimeRig(Rig):
    """A desk with a Heart and schedules; `wall` is its own clock, `restart` is `kill -9` and a new life."""

    wall: SimulatedClock
    schedules: Schedules
    gone: frozenset[str] = frozenset()
    deaf: frozenset[str] = frozenset()
    """Whose schedules may not hear of anything but devices."""
    bus: EventBus
    runs: Runs

    async def open(self, wall: SimulatedClock) -> TimeRig:
        self.wall = wall
        self.begin()
        await self.settle()
        return self

    def begin(self) -> None:
        self.bus = EventBus(self.endpoint.device_id, self.clock, self.entropy)
        self.runs = Runs(
            heart=self.heart, store=self.store, vault=RunVault(self.store, b"k" * 32, entropy=self.entropy),
            clock=self.clock, entropy=self.entropy, bus=self.bus,
        )  # fmt: skip
        self.runs.recover()
        vault = RunVault(self.store, b"k" * 32, entropy=self.entropy)
        self.schedules = Schedules(
            journal=ScheduleJournal(self.store, vault),
            starter=Starters(
                JobStarter(self.heart, lambda artifact: None, self.clock.now_ms),
                self.runs,
                lambda artifact: None,
            ),
            clock=self.wall,
            trusted_ms=self.clock.now_ms,
            news=self.heart.announce,
            bus=self.bus,
            may_hear=lambda maker, event: (
                maker.person not in self.deaf or event.labels.data_class == "device"
            ),
            is_gone=lambda maker: maker.person in self.gone,
        )
        self.schedules.start()
        # Nobody's heartbeats are simulated here, so nobody is missed for want of them.
        self.heart._hearing.stop()

    async def off(self) -> None:
        """`kill -9`, as far as anybody can tell."""
        self.store.abandon()
        await self.schedules.close()
        await self.runs.close()
        await self.heart.close()
        self.endpoint.up.clear()

    async def on(self) -> None:
        await self.start()
        self.begin()
        await self.settle(40)

    async def shut(self) -> None:
        await self.schedules.close()
        await self.runs.close()
        await self.close()

    def at(self, text: str) -> None:
        """Set the wall clock, without anything else happening."""
        self.wall.skew_ms += ms(text) - self.wall.now_ms()

    async def pass_to(self, text: str) -> None:
        """Let time pass until then."""
        assert isinstance(self.clock, SimulatedClock)
        end_ms = ms(text)
        self.schedules.look()
        while (now_ms := self.wall.now_ms()) < end_ms:
            wakes = [held.wake_ms for held in self.schedules.all() if held.machine.next_ms]
            triggers = [held.trigger for held in self.schedules.all() if held.trigger is not None]
            wakes += [trigger.machine.wake_ms() for trigger in triggers]
            busy = any(held.machine.open for held in self.schedules.all())
            next_ms = min([end_ms, *(wake_ms for wake_ms in wakes if wake_ms > now_ms)])
            if next_ms - now_ms > MINUTE and not busy:
                for clock in (self.wall, self.clock):
                    clock.skew_ms += next_ms - now_ms - 1_000
                self.schedules.look()
                for trigger in triggers:
                    trigger._arm()
            await asyncio.sleep(min(next_ms - self.wall.now_ms() + 100, MINUTE) / 1000)
            await self.settle(40)

    async def add(
        self, name: str, when: s.When, *, action: s.Action = PILLS, maker: Principal = OWNER, zone: str = "UTC",
        delay_ms: int = 0, **rules: Any,
    ) -> Held:  # fmt: skip
        now_ms = self.schedules.now_ms()
        made = s.Schedule(
            new_id(now_ms, self.entropy.token(10)), name, when, action, zone, now_ms, s.Rules(**rules), maker=maker,
            delay_ms=delay_ms,
        )  # fmt: skip
        return await self.schedules.add(made)

    def history(self, name: str) -> list[Firing]:
        held = self.schedules.find(name)
        assert held is not None
        return self.schedules.journal.history(held.schedule.schedule_id, 500)

    def story(self, name: str) -> list[tuple[str, str]]:
        """(when, what) of everything, oldest first."""
        return [
            (datetime.fromtimestamp(one.due_ms / 1000, UTC).strftime("%m-%d %H:%M"), one.reason or one.state)
            for one in reversed(self.history(name))
        ]

    def done(self) -> int:
        """How often the pills were noted down."""
        return sum(sum(node.begun.values()) for node in self.nodes.values())


Body = Callable[[TimeRig], Awaitable[None]]


def at_time(text: str, *names: str) -> Callable[[Body], Callable[[Path], None]]:
    """Run the test in virtual time that begins then, in UTC."""

    def decorate(body: Body) -> Callable[[Path], None]:
        def test(tmp_path: Path) -> None:
            async def main() -> None:
                loop = asyncio.get_running_loop()
                rig = TimeRig(tmp_path, SimulatedClock(loop), *(names or ("phone",)))
                await rig.start()
                await rig.open(SimulatedClock(loop, start_ms=ms(text)))
                await body(rig)
                await rig.shut()

            run_virtual(main())

        test.__name__, test.__doc__ = body.__name__, body.__doc__
        return test

    return decorate


__all__ = ["DAY", "HOUR", "MINUTE", "PILLS", "SeededEntropy", "TimeRig", "at_time", "ms"]
