"""The whole household with a schedule: the coordinator dies at any step of a firing, or is off for three days."""

from __future__ import annotations

import asyncio

import pytest
from tests.sim.conftest import Simulator

from kindmesh.coordinator.heart.schedules import words as s
from kindmesh.coordinator.heart.schedules.journal import Firing
from kindmesh.coordinator.heart.schedules.machine_words import PauseAsked
from kindmesh.coordinator.heart.wishes import Wish
from kindmesh.coordinator.simulate.work import done
from kindmesh.coordinator.simulate.world import Submitted, World, home_of
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.ids import new_id

DAY, HOUR = 86_400_000, 3_600_000
PILLS = s.Action("work.add", encode_value({"text": "the pills", "before_ms": 20}))


async def add(world: World, when: s.When, **rules: object) -> None:
    """A schedule called pills."""
    life = world.life("desk")
    assert life is not None
    schedules = life.coordinator.scheduling.schedules
    now_ms = schedules.now_ms()
    made = s.Schedule(
        new_id(now_ms, b"schedule10"),
        "pills",
        when,
        PILLS,
        "UTC",
        now_ms,
        s.Rules(**rules),  # type: ignore[arg-type] # plain fields
    )

    async def work() -> None:
        await schedules.add(made)

    await life.process.run(work())


async def pause(world: World) -> None:
    """Nothing new is started."""
    life = world.life("desk")
    assert life is not None
    schedules = life.coordinator.scheduling.schedules
    held = schedules.find("pills")
    assert held is not None
    await life.process.run(schedules.change(held, PauseAsked("ann")))


def run(world: World) -> list[Firing]:
    """Those that were not missed for the pause."""
    return [one for one in firings(world) if one.reason != "paused"]


def firings(world: World) -> list[Firing]:
    """Of the pills, oldest first."""
    desk = world.desk
    assert desk is not None
    schedules = desk.scheduling.schedules
    held = schedules.find("pills")
    assert held is not None
    return schedules.journal.history(held.schedule.schedule_id, 500)[::-1]


def taken(world: World) -> int:
    """How often the pills were taken, by what the devices wrote down."""
    return sum(
        operation == "work.add"
        for name in world.names
        for _, operation in done(home_of(world.folder, name).data)
    )


def own_up(world: World) -> None:
    """Tell the world of the jobs that the schedule started, so that all its checks are about them, too."""
    known = {job.job_id for job in world.jobs}
    for one in firings(world):
        if one.ref and one.ref not in known:
            wish = Wish("work.add", {"text": "the pills", "before_ms": 20})
            world.jobs.append(Submitted(f"pills-{one.due_ms}", wish, one.ref, acknowledged=True))


async def all_over(world: World, count: int) -> None:
    """Until so many firings have ended."""

    def over() -> bool:
        return world.desk is not None and [one.state for one in firings(world)] == ["succeeded"] * count

    await world.until(over, 120)
    own_up(world)


@pytest.mark.parametrize("step", range(1, 31))
def test_a_coordinator_that_dies_at_any_step_of_a_firing_does_it_once(
    simulator: Simulator, step: int
) -> None:
    counted: list[int] = []

    async def scenario(world: World) -> None:
        await add(world, s.At("", world.clock.now_ms() + 3_000), grace_ms=HOUR)
        await asyncio.sleep(2.99)
        world.kill("desk", after_steps=step)
        await world.until(lambda: world.desk is None, 120)
        await world.start("desk")
        await world.ready("phone")
        await all_over(world, 1)
        counted.append(taken(world))

    simulator.run(step, scenario, "phone")
    assert counted == [1]


@pytest.mark.parametrize("seed", range(6))
def test_a_beat_over_many_deaths_is_done_once_for_each_time_or_told(simulator: Simulator, seed: int) -> None:
    counted: list[tuple[int, int, int]] = []

    async def scenario(world: World) -> None:
        every = s.Every(10_000, world.clock.now_ms())
        await add(world, every, misfire="all", grace_ms=HOUR, catch_up=100)
        for _ in range(4):
            await asyncio.sleep(world.random.uniform(5, 25))
            world.kill("desk", after_steps=world.random.randrange(1, 80))
            await world.until(lambda: world.desk is None, 120)
            await asyncio.sleep(world.random.uniform(0.1, 30))
            await world.start("desk")
        await world.ready(*world.names)
        await pause(world)
        await world.until(lambda: all(one.ended_ms for one in run(world)), 120)
        own_up(world)
        found = run(world)
        expected = (found[-1].due_ms - every.anchor_ms) // every.every_ms
        counted.append((len(found), expected, taken(world)))
        assert {one.state for one in found} <= {"succeeded", "uncertain"}

    simulator.run(seed, scenario)
    found, expected, done_ = counted[0]
    assert found == expected == done_


def test_three_days_without_power_are_told_and_the_newest_is_made_up_for(simulator: Simulator) -> None:
    told: list[list[str]] = []

    async def scenario(world: World) -> None:
        await add(world, s.Cron("0 8 * * *"), grace_ms=2 * HOUR)
        for name in ("desk", "phone"):
            world.kill(name, silent=True)
        await world.until(lambda: world.desk is None, 60)
        # It was one in the night; the power is back three days later, at nine.
        world.days_pass(3 + 8 / 24)
        await world.start("desk", "phone")
        await world.ready("phone")
        await world.until(lambda: firings(world)[-1].ended_ms, 120)
        own_up(world)
        told.append([one.reason or one.state for one in firings(world)])
        assert taken(world) == 1

    simulator.run(1, scenario, "phone")
    assert told == [["late", "late", "late", "succeeded"]]


def test_a_schedule_with_a_reviewer_that_comes_back_late_is_done_once(simulator: Simulator) -> None:
    async def scenario(world: World) -> None:
        await add(world, s.At("", world.clock.now_ms() + 3_000), grace_ms=HOUR)
        world.medulla.kill()
        await asyncio.sleep(20)
        assert taken(world) == 0
        world.medulla.start()
        await all_over(world, 1)
        assert taken(world) == 1

    simulator.run(3, scenario, "phone")
