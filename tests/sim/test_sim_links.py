"""Links that lose, double and reorder, devices that are cut off: no effect happens twice, nothing is lost quietly."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from tests.sim.conftest import Simulator
from tests.sim.test_sim_coordinator_killed import wishes

from kindmesh.coordinator.simulate.world import World


def cut_off(world: World, name: str) -> None:
    """From now on nothing passes between the coordinator and that device."""
    world.network.partition("desk", name)


@pytest.mark.parametrize("seed", range(15))
def test_jobs_over_links_that_lose_double_and_reorder_end_once(simulator: Simulator, seed: int) -> None:
    async def scenario(world: World) -> None:
        dice = world.random
        for name in world.names:
            for one, other in (("desk", name), (name, "desk")):
                world.network.change(
                    one, other, loss=dice.uniform(0, 0.25), duplication=dice.uniform(0, 0.4),
                    reordering=dice.uniform(0, 0.4),
                )  # fmt: skip
        wishes(world, 10)
        await asyncio.sleep(20)
        for name in world.names:
            world.network.change_both("desk", name, loss=0.0)

    run = simulator.run(seed, scenario)
    assert run.world.network.lost or seed
    assert [run.found.state(job) for job in run.world.jobs] == ["succeeded"] * 10


@pytest.mark.parametrize("seed", range(6))
def test_a_job_that_may_move_leaves_a_device_that_is_cut_off(simulator: Simulator, seed: int) -> None:
    async def scenario(world: World) -> None:
        job = world.submit("work.tidy", before_ms=3_000, after_ms=3_000)
        for name in world.names:
            world.on_intent(name, partial(begun, world, name))
        await world.until(lambda: world.ended(job), 25)
        world.network.heal("desk", first[0])

    def begun(world: World, name: str, job_id: bytes) -> None:
        first.append(name)
        if len(first) == 1:
            cut_off(world, name)

    first: list[str] = []
    run = simulator.run(seed, scenario)
    (job,) = run.world.jobs
    assert run.found.state(job) == "succeeded"
    assert run.found.device(job) != first[0]
    assert "late result" in run.found.story(job)


@pytest.mark.parametrize("seed", range(6))
def test_a_job_sent_to_a_device_that_was_just_cut_off_is_done_when_it_is_back(
    simulator: Simulator, seed: int
) -> None:
    async def scenario(world: World) -> None:
        cut_off(world, "phone")
        world.submit("notes.append", target="phone")
        world.submit("work.add", target="phone")
        world.submit("work.read", target="phone")
        await asyncio.sleep(world.random.uniform(1, 20))
        world.network.heal("desk", "phone")

    run = simulator.run(seed, scenario)
    assert {run.found.state(job) for job in run.world.jobs} == {"succeeded"}
    assert all(
        run.found.devices_that_did(job) == ["phone"]
        for job in run.world.jobs
        if "read" not in job.wish.operation
    )


@pytest.mark.parametrize("seed", range(6))
def test_a_job_on_a_device_that_stays_away_is_uncertain_or_expired_in_time(
    simulator: Simulator, seed: int
) -> None:
    async def scenario(world: World) -> None:
        at_intent = world.random.random() < 0.5
        if at_intent:
            world.on_intent("phone", lambda job_id: cut_off(world, "phone"))
        else:
            cut_off(world, "phone")
        world.submit("work.add", target="phone", within_ms=10_000, before_ms=1_000)
        world.submit("work.read", target="phone", within_ms=10_000, before_ms=1_000)
        await world.until(lambda: all(world.ended(job) for job in world.jobs), 20)
        world.network.heal("desk", "phone")
        await world.ready("phone")

    run = simulator.run(seed, scenario)
    write, read = run.world.jobs
    assert run.found.state(write) == "uncertain"
    assert run.found.state(read) in ("expired", "succeeded")
    if run.found.devices_that_did(write):
        assert "late result" in run.found.story(write)


@pytest.mark.parametrize("seed", range(10))
def test_cuts_and_deaths_together_lose_and_double_nothing(simulator: Simulator, seed: int) -> None:
    async def scenario(world: World) -> None:
        dice = world.random
        for name in world.names:
            world.network.change_both("desk", name, loss=0.05, duplication=0.2, reordering=0.2)
        for _ in range(3):
            wishes(world, 5)
            name = dice.choice(world.names)
            cut_off(world, name)
            world.kill(dice.choice(["desk", *world.names]), after_steps=dice.randrange(1, 40))
            await asyncio.sleep(dice.uniform(0, 9))
            world.network.heal("desk", name)
            for dead in ("desk", *world.names):
                if world.life(dead) is None:
                    await world.start(dead)

    run = simulator.run(seed, scenario)
    assert {run.found.state(job) for job in run.world.jobs} <= {"succeeded", "uncertain"}
