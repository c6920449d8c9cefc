"""The coordinator dies at any step of its life, again and again: what it promised is kept, once."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from tests.sim.conftest import Simulator

from kindmesh.coordinator.simulate.world import World

OPERATIONS = ("work.add", "work.tidy", "work.read", "notes.append", "device.echo")


def wishes(world: World, count: int) -> None:
    """So many jobs of all kinds, some of them long."""
    dice = world.random
    for number in range(count):
        operation = OPERATIONS[number % len(OPERATIONS)]
        times: dict[str, Any] = {}
        if operation.startswith("work."):
            times = {"before_ms": dice.choice([0, 50, 400]), "after_ms": dice.choice([0, 50, 400])}
        world.submit(operation, **times, within_ms=60_000)


async def lives_of_the_coordinator(world: World, lives: int, steps: int) -> None:
    """The coordinator dies `lives` times, each time within so many steps."""
    dice = world.random
    for _ in range(lives):
        world.kill("desk", after_steps=dice.randrange(1, steps), silent=dice.random() < 0.3)
        await world.until(lambda: world.desk is None, 120)
        await asyncio.sleep(dice.choice([0.01, dice.uniform(0.1, 8)]))
        await world.start("desk", fatal_step=dice.choice([0, 0, dice.randrange(1, 30)]))
        if world.desk is None:
            await world.start("desk")


@pytest.mark.parametrize("seed", range(20))
def test_what_a_coordinator_promised_is_kept_over_its_deaths(simulator: Simulator, seed: int) -> None:
    async def scenario(world: World) -> None:
        wishes(world, 6)
        await lives_of_the_coordinator(world, 3, 120)

    run = simulator.run(seed, scenario)
    assert all(job.acknowledged for job in run.world.jobs)
    assert Counter(run.found.state(job) for job in run.world.jobs) == {"succeeded": 6}


@pytest.mark.parametrize("step", range(1, 40))
def test_a_coordinator_that_dies_at_any_step_of_a_job_goes_on_with_it(
    simulator: Simulator, step: int
) -> None:
    async def scenario(world: World) -> None:
        world.kill("desk", after_steps=step)
        world.submit("work.add", before_ms=20, after_ms=20)
        world.submit("notes.append")
        await world.until(lambda: world.desk is None, 60)
        await world.start("desk")

    run = simulator.run(step, scenario, "phone")
    assert [run.found.state(job) for job in run.world.jobs] == ["succeeded"] * 2


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_lost_or_doubled_when_everything_dies_in_turn(simulator: Simulator, seed: int) -> None:
    async def scenario(world: World) -> None:
        dice = world.random
        for _ in range(3):
            wishes(world, 5)
            victim = dice.choice(["desk", *world.names])
            world.kill(victim, after_steps=dice.randrange(1, 40), silent=dice.random() < 0.5)
            if dice.random() < 0.3:
                world.medulla.kill()
            await asyncio.sleep(dice.uniform(0, 6))
            if not world.medulla.alive:
                world.medulla.start()
            for name in ("desk", *world.names):
                if world.life(name) is None:
                    await world.start(name)

    run = simulator.run(seed, scenario)
    assert all(job.acknowledged for job in run.world.jobs)
    assert {run.found.state(job) for job in run.world.jobs} <= {"succeeded", "uncertain"}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_coordinator_that_dies_gives_the_same_history_for_the_same_seed(
    simulator: Simulator, seed: int
) -> None:
    async def scenario(world: World) -> None:
        wishes(world, 6)
        await lives_of_the_coordinator(world, 2, 80)

    assert simulator.run(seed, scenario).fingerprint == simulator.run(seed, scenario).fingerprint
