"""Nothing happens without Medulla, nor what the owner must allow without a yes; with it once, whoever dies."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from tests.sim.conftest import Simulator

from kindmesh.coordinator.simulate.work import done
from kindmesh.coordinator.simulate.world import World, home_of


@pytest.mark.parametrize("seed", range(20))
def test_what_the_owner_allowed_is_done_once_whoever_dies(simulator: Simulator, seed: int) -> None:
    async def scenario(world: World) -> None:
        dice = world.random
        for _ in range(3):
            world.submit("work.switch", before_ms=dice.choice([0, 300]), after_ms=300, within_ms=60_000)
        for _ in range(8):
            victim = dice.choice(["desk", "desk", "medulla", *world.names])
            if victim == "medulla":
                world.medulla.kill()
            elif dice.random() < 0.5:
                world.kill(victim, after_steps=dice.randrange(1, 30))
            await asyncio.sleep(dice.uniform(0, 0.5))
            await world.owner_answers()
            await asyncio.sleep(dice.uniform(0, 2))
            if not world.medulla.alive:
                world.medulla.start()
            for name in ("desk", *world.names):
                if world.life(name) is None:
                    await world.start(name)
        await world.all_well()
        for _ in range(60):
            await asyncio.sleep(1)
            await world.owner_answers()

    run = simulator.run(seed, scenario)
    assert {run.found.state(job) for job in run.world.jobs} <= {"succeeded", "uncertain"}


@pytest.mark.parametrize("seed", range(4))
def test_what_the_owner_did_not_allow_is_not_done(simulator: Simulator, seed: int) -> None:
    async def scenario(world: World) -> None:
        refused = world.submit("work.switch", within_ms=20_000)
        await asyncio.sleep(0.5)
        await world.owner_answers(allow=False)
        await world.until(lambda: world.ended(refused))
        world.submit("work.switch", within_ms=20_000)
        world.kill("desk", after_steps=world.random.randrange(1, 40))
        await world.until(lambda: world.desk is None)
        await world.start("desk")

    run = simulator.run(seed, scenario)
    refused, unanswered = run.world.jobs
    assert run.found.state(refused) == "failed"
    # A coordinator that died before it had noted the question does not know any more that it had sent nothing.
    assert run.found.state(unanswered) in ("expired", "uncertain")
    assert run.found.effects == []


@pytest.mark.parametrize("seed", range(6))
def test_devices_with_wrong_clocks_do_their_jobs_once(simulator: Simulator, seed: int) -> None:
    async def scenario(world: World) -> None:
        dice = world.random
        for name in world.names:
            world.skew_ms[name] = dice.choice([-1, 1]) * dice.randrange(60_000, 900_000)
            world.kill(name)
            await world.until(partial(world.is_dead, name))
            await world.start(name)
        await world.ready(*world.names)
        for operation in ("work.add", "notes.append", "work.tidy", "work.read"):
            world.submit(operation)
        world.kill(dice.choice(world.names), after_steps=dice.randrange(1, 30))
        await asyncio.sleep(dice.uniform(1, 8))
        for name in world.names:
            if world.life(name) is None:
                await world.start(name)

    run = simulator.run(seed, scenario)
    assert {run.found.state(job) for job in run.world.jobs} <= {"succeeded", "uncertain"}


@pytest.mark.parametrize("seed", range(4))
def test_without_medulla_nothing_is_done_and_nothing_is_lost(simulator: Simulator, seed: int) -> None:
    async def scenario(world: World) -> None:
        world.medulla.kill()
        for operation in ("work.add", "work.read", "notes.append", "device.echo"):
            world.submit(operation)
        await asyncio.sleep(world.random.uniform(0, 10))
        world.kill("desk", after_steps=world.random.randrange(1, 20))
        await world.until(partial(world.is_dead, "desk"))
        await world.start("desk")
        assert [done(home_of(world.folder, name).data) for name in world.names] == [[]] * len(world.names)
        world.medulla.start()

    run = simulator.run(seed, scenario)
    assert [run.found.state(job) for job in run.world.jobs] == ["succeeded"] * 4
