"""Runs in a whole household: the coordinator dies at any step of a plan, and everything is done once all the same."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from typing import Any

import pytest
from tests.sim.conftest import Simulator

from kindmesh.coordinator.simulate.process import Killed
from kindmesh.coordinator.simulate.world import World
from kindmesh.protocol.plan import Plan, plan_from_document


def work(name: str, text: Any, **more: Any) -> dict[str, Any]:
    return {"id": name, "call": "work.add", "args": {"text": text, "before_ms": 5}, **more}


def undo(text: Any) -> dict[str, Any]:
    return {"call": "work.add", "args": {"text": text}}


BIG = plan_from_document(
    {
        "plan": 1,
        "steps": [
            {"id": "read", "call": "work.read", "args": {"text": "read"}, "retry": {"attempts": 5}},
            work("write", "write", compensate=undo({"$text": ["un", {"$from": "self.text"}]})),
            work("each", {"$from": "item"}, for_each={"over": ["a", "b", "c"], "parallel": 2}, after=["read"],
                 compensate=undo({"$text": ["un", {"$from": "item"}]})),
            {"id": "sub", "sub": {"plan": {"plan": 1, "steps": [work("in", "in")]}}, "after": ["write"]},
            {"id": "fails", "call": "work.read", "args": {"text": 7}, "after": ["each", "sub"]},
        ],
    }
)  # fmt: skip
GOOD = plan_from_document(
    {
        "plan": 1,
        "steps": [
            {"id": "read", "call": "work.read", "args": {"text": "read"}},
            work("one", {"$from": "read.text"}),
            work("two", "two", for_each={"over": [1, 2]}, after=["read"]),
        ],
    }
)


async def ended(world: World, plan: Plan) -> dict[str, Any]:
    """A plan's document at its end; it is started under one key until somebody said that it is on the disk."""
    for _ in range(20):
        if world.desk is None:
            await world.start("desk")
        life = world.life("desk")
        try:
            if life is None:
                continue
            run_id = await life.process.run(life.coordinator.runs.start(plan, key="k"))
        except Killed:
            continue
        await world.until(partial(over, world, run_id), 300)
        if world.desk is not None:
            return world.desk.runs.document(run_id)
    raise AssertionError("it never stayed alive")


def over(world: World, run_id: bytes) -> bool:
    """Whether the run has ended, or nobody could say."""
    return world.desk is None or bool(world.desk.runs.row(run_id).ended_ms)


def texts(document: dict[str, Any]) -> list[str]:
    return sorted(item["path"] for item in document["items"] if item["state"] == "succeeded" and item["job"])


@pytest.mark.parametrize("step", range(1, 150, 6))
def test_a_coordinator_that_dies_at_any_step_of_a_run_goes_on_with_it(
    simulator: Simulator, step: int
) -> None:
    documents = []

    async def scenario(world: World) -> None:
        world.kill("desk", after_steps=step)
        documents.append(await ended(world, BIG))

    run = simulator.run(step, scenario, "phone")
    (document,) = documents
    assert (document["state"], document["where"]) == ("failed", "fails")
    # What was done, was done once; and everything that was done and can be undone was undone, once.
    done = Counter(operation for _, _, operation in run.found.effects)
    assert done == {"work.read": 1, "work.add": 1 + 3 + 1 + 4}
    assert texts(document) == [
        "each[0]", "each[1]", "each[2]", "read", "undo:each[0]", "undo:each[1]", "undo:each[2]", "undo:write", "write",
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_a_run_survives_many_deaths_of_everybody(simulator: Simulator, seed: int) -> None:
    documents = []

    async def scenario(world: World) -> None:
        dice = world.random
        going = asyncio.ensure_future(ended(world, GOOD))
        for _ in range(4):
            world.kill(dice.choice(["desk", *world.names]), after_steps=dice.randrange(1, 60))
            await asyncio.sleep(dice.uniform(0.2, 4))
            for name in ("desk", *world.names):
                if world.life(name) is None:
                    await world.start(name)
        documents.append(await going)

    run = simulator.run(seed, scenario)
    assert documents[0]["state"] in ("succeeded", "uncertain", "failed")
    times = Counter(job_id for _, job_id, operation in run.found.effects if operation == "work.add")
    assert set(times.values()) <= {1}
    if documents[0]["state"] == "succeeded":
        assert sum(times.values()) == 3
