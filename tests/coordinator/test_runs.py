"""Runs over a real Heart and journal, in virtual time; nodes and Medulla do as the test says."""

from __future__ import annotations

import asyncio

import pytest
from tests.coordinator.runs_kit import RunRig, call, items, plan, virtual

from kindmesh.protocol.errors import InvalidInput, StoreConflict
from kindmesh.protocol.plan import single_step


@virtual()
async def test_a_plan_of_one_operation_gives_what_it_gave(rig: RunRig) -> None:
    run_id = await rig.runs.start(single_step("device.echo", {"text": "hello"}))
    ended = await rig.ended(run_id)
    assert (ended["state"], ended["output"]) == ("succeeded", {"step": {"text": "hello"}})
    assert ended["items"][0]["job"]["device_name"] == "phone"


@virtual()
async def test_steps_pass_values_on_and_run_side_by_side_where_nothing_orders_them(rig: RunRig) -> None:
    wanted = plan(
        call("left", "a"),
        call("right", {"$from": "inputs.name"}),
        call("both", {"$text": [{"$from": "left.text"}, " and ", {"$from": "right.text"}]}),
        inputs={"name": {"type": "text"}},
    )
    run_id = await rig.runs.start(wanted, inputs={"name": "b"})
    ended = await rig.ended(run_id)
    assert ended["output"] == {"both": {"text": "a and b"}}
    begun = {item["path"]: item["begun_ms"] for item in ended["items"]}
    assert begun["left"] == begun["right"] <= begun["both"]
    (both,) = [item for item in ended["items"] if item["path"] == "both"]
    assert both["origins"] == ["both", "inputs", "left", "plan", "right"]


@virtual()
async def test_the_same_key_is_the_same_run(rig: RunRig) -> None:
    wanted = single_step("device.echo", {"text": "hello"})
    first = await rig.runs.start(wanted, key="k")
    assert await rig.runs.start(wanted, key="k") == first
    with pytest.raises(StoreConflict):
        await rig.runs.start(single_step("device.echo", {"text": "other"}), key="k")
    await rig.ended(first)
    assert await rig.runs.start(wanted, key="k") == first
    assert sum(rig.nodes["phone"].begun.values()) == 1


@virtual()
async def test_a_restart_goes_on_where_it_was(rig: RunRig) -> None:
    rig.nodes["phone"].hold = True
    run_id = await rig.runs.start(plan(call("one", "1"), call("two", "2", after=["one"])))
    await rig.until(run_id, "one", "running")
    await rig.settle()
    await rig.restart()
    await rig.settle()
    rig.nodes["phone"].hold = False
    rig.nodes["phone"].finish()
    ended = await rig.ended(run_id)
    assert items(ended) == {"one": "succeeded", "two": "succeeded"}
    assert sum(rig.nodes["phone"].begun.values()) == 2


@virtual()
async def test_a_plan_that_is_wrong_is_refused_before_anything_is_done(rig: RunRig) -> None:
    with pytest.raises(InvalidInput) as error:
        await rig.runs.start(plan(call("one", {"$from": "two.text"})))
    assert error.value.field == "steps.one.args.text"
    assert rig.runs.runs() == []
    await asyncio.sleep(1)
    assert not rig.nodes["phone"].begun
