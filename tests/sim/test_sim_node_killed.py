"""A device dies in the middle of a job: what may be done again is done elsewhere, what may not is never done twice."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from tests.sim.conftest import Simulator

from kindmesh.coordinator.simulate.world import Submitted, World

SEEDS = range(20)


class Victim:
    """Kills the device that is first to begin a job: at its INTENT, or a while after. `name` is who it was."""

    def __init__(self, world: World, job: Submitted, after_ms: int, *, silent: bool = False) -> None:
        self.name = ""
        self._world, self._job, self._after_ms, self._silent = world, job, after_ms, silent
        for name in world.names:
            world.on_intent(name, partial(self._begun, name))

    def _begun(self, name: str, job_id: bytes) -> None:
        if self.name or job_id != self._job.job_id:
            return
        self.name = name
        if self._after_ms:
            self._world.later(self._after_ms / 1000, lambda: self._world.kill(name, silent=self._silent))
        else:
            self._world.kill(name, silent=self._silent)

    async def dead(self) -> None:
        await self._world.until(lambda: self.name and self._world.life(self.name) is None)


async def killed_in_mid_job(world: World, operation: str, *, back: bool) -> tuple[Submitted, Victim]:
    """Some jobs, one of them with a device that dies on it; `back`: the device is started again some time later."""
    dice = world.random
    for other in dice.sample(["work.read", "work.tidy", "notes.append", "work.add"], 3):
        world.submit(other)
    before_ms, after_ms = dice.randrange(200, 2_000), dice.randrange(200, 2_000)
    job = world.submit(operation, before_ms=before_ms, after_ms=after_ms, within_ms=25_000)
    when_ms = dice.choice([0, dice.randrange(1, before_ms), before_ms + dice.randrange(1, after_ms)])
    victim = Victim(world, job, when_ms, silent=dice.random() < 0.5)
    await victim.dead()
    if back:
        await asyncio.sleep(dice.uniform(0.01, 12))
        await world.start(victim.name)
    return job, victim


@pytest.mark.parametrize("seed", SEEDS)
def test_a_job_whose_device_dies_after_intent_ends_once_on_another_device(
    simulator: Simulator, seed: int
) -> None:
    made: list[tuple[Submitted, Victim]] = []

    async def scenario(world: World) -> None:
        operation = world.random.choice(["work.read", "work.tidy"])
        made.append(await killed_in_mid_job(world, operation, back=world.random.random() < 0.5))

    run = simulator.run(seed, scenario)
    (job, victim), found = made[0], run.found
    assert found.state(job) == "succeeded"
    assert found.records[victim.name, job.job_id].begun
    if victim.name not in run.world.revived:
        assert found.device(job) != victim.name
    others = [other for other in run.world.jobs if other is not job]
    assert all(found.state(other) in ("succeeded", "uncertain") for other in others)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_may_not_be_done_twice_is_uncertain_when_its_device_dies_after_intent(
    simulator: Simulator, seed: int
) -> None:
    made: list[tuple[Submitted, Victim]] = []

    async def scenario(world: World) -> None:
        made.append(await killed_in_mid_job(world, "work.add", back=world.random.random() < 0.7))

    run = simulator.run(seed, scenario)
    (job, victim), found = made[0], run.found
    assert found.state(job) == "uncertain"
    assert set(found.devices_that_did(job)) <= {victim.name}
    assert {name for name, job_id in found.records if job_id == job.job_id} == {victim.name}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_same_seed_gives_the_same_history(simulator: Simulator, seed: int) -> None:
    async def scenario(world: World) -> None:
        await killed_in_mid_job(world, "work.tidy", back=True)

    first, second = simulator.run(seed, scenario), simulator.run(seed, scenario)
    assert first.fingerprint == second.fingerprint
    assert simulator.run(seed + 100, scenario).fingerprint != first.fingerprint


@pytest.mark.parametrize("step", range(1, 30))
def test_a_device_that_dies_at_any_step_of_its_jobs_does_none_twice(simulator: Simulator, step: int) -> None:
    async def scenario(world: World) -> None:
        world.kill("phone", after_steps=step)
        world.submit("work.add", before_ms=20, after_ms=20)
        world.submit("notes.append")
        world.submit("work.tidy", before_ms=20, after_ms=20)
        await world.until(lambda: world.life("phone") is None, 60)
        await world.start("phone")

    run = simulator.run(step, scenario, "phone")
    add, note, tidy = run.world.jobs
    assert {run.found.state(add), run.found.state(note)} <= {"succeeded", "uncertain"}
    assert run.found.state(tidy) == "succeeded"
