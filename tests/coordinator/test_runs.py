"""Runs over a real Heart and journal, in virtual time; nodes and Medulla do as the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.coordinator.runs_kit import RunRig, call, items, plan, virtual

from kindmesh.coordinator.heart.journal import Finished
from kindmesh.coordinator.heart.retention import KeepRules
from kindmesh.coordinator.heart.runs.runs import RUNS_OPEN_MAX, RUNS_RESERVE
from kindmesh.protocol.anchors import open_bundle
from kindmesh.protocol.codec import decode, decode_value
from kindmesh.protocol.errors import Busy, InvalidInput, StoreConflict, StoreError, UnknownJob, WireError
from kindmesh.protocol.messages.jobs import Job
from kindmesh.protocol.permit import Permit
from kindmesh.protocol.permit_chain import check_parent
from kindmesh.protocol.plan import single_step
from kindmesh.protocol.principal import OWNER, device_principal


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
async def test_what_was_said_against_a_step_ahead_goes_to_medulla_with_that_step_also_inside(
    rig: RunRig,
) -> None:
    inner = {"plan": 1, "steps": [call("deep", "b"), call("other", "c")]}
    wanted = plan(
        {**call("each", {"$from": "item"}), "for_each": {"over": ["a", "z"]}},
        call("plain", "d"),
        {"id": "box", "sub": {"plan": inner}},
    )
    run_id = await rig.runs.start(
        wanted, doubts={"each": ("it is odd",), "box.deep": ("it is late", "it is far")}
    )
    await rig.ended(run_id)
    told = {decode_value(request.args)["text"]: request.doubts for request in rig.medulla.asked}
    assert told == {
        "a": ("it is odd",),
        "z": ("it is odd",),
        "b": ("it is late", "it is far"),
        "c": (),
        "d": (),
    }


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


# ------------------------------------------------------------------------------- people, events, memos, sub-runs


@virtual()
async def test_a_question_waits_over_restarts_and_its_answer_goes_on(rig: RunRig) -> None:
    ask = {"question": "Well?", "answer": {"yes": {"type": "boolean"}}}
    run_id = await rig.runs.start(plan({"id": "q", "ask": ask}, call("say", when={"$from": "q.yes"})))
    await asyncio.sleep(600)
    await rig.restart()
    (waiting,) = rig.runs.inbox()
    assert (waiting["question"], waiting["path"]) == ("Well?", "q")
    with pytest.raises(InvalidInput):
        await rig.runs.answer(run_id, "q", {"yes": "maybe"}, OWNER)
    await rig.runs.answer(run_id, "q", {"yes": True}, OWNER)
    assert (await rig.ended(run_id))["state"] == "succeeded"
    with pytest.raises(UnknownJob):
        await rig.runs.answer(run_id, "q", {"yes": True}, OWNER)
    assert rig.runs.inbox() == []


@virtual()
async def test_an_event_that_fits_goes_on_and_others_do_not(rig: RunRig) -> None:
    wanted = {"topic": "system.device.*", "filter": {"$eq": [{"$from": "event.data.name"}, "lamp"]}}
    run_id = await rig.runs.start(plan({"id": "e", "event": wanted}, call("say", {"$from": "e.topic"})))
    await rig.until(run_id, "e", "listening")
    await rig.settle()
    for name in ("phone", "lamp"):
        rig.bus.emit("system.device.back", {"device": "x", "name": name})
    ended = await rig.ended(run_id)
    assert ended["output"] == {"say": {"text": "system.device.back"}}
    assert rig.bus.statistics().subscriptions == 0


@virtual()
async def test_a_durable_event_of_the_time_without_a_coordinator_is_heard_the_first_that_fits(
    rig: RunRig,
) -> None:
    wanted = {"topic": "system.device.*", "filter": {"$eq": [{"$from": "event.data.name"}, "lamp"]}}
    early = rig.bus.make("system.device.removed", {"device": "before", "name": "lamp"})
    await asyncio.sleep(1)
    waits = {"id": "e", "event": wanted, "deadline_ms": 20_000}
    run_id = await rig.runs.start(plan(waits, call("say", {"$from": "e.data.device"})))
    await rig.until(run_id, "e", "listening")
    await rig.settle()
    await rig.crash()
    rig.kept = (early,)
    for device, name in (("1", "phone"), ("2", "lamp"), ("3", "lamp")):
        await asyncio.sleep(1)
        rig.kept += (rig.bus.make("system.device.removed", {"device": device, "name": name}),)
    await asyncio.sleep(60)
    await rig.start()
    ended = await rig.ended(run_id)
    assert ended["output"] == {"say": {"text": "2"}}
    assert rig.bus.statistics().subscriptions == 0


@virtual()
async def test_a_memo_serves_the_same_person_until_it_is_too_old(rig: RunRig) -> None:
    wanted = plan(call("one", "x", memo={"max_age_ms": 1_000}))
    first = await rig.ended(await rig.runs.start(wanted))
    second = await rig.ended(await rig.runs.start(wanted))
    assert second["output"] == first["output"]
    assert second["items"][0]["label"]["source"] == "device"
    other = device_principal(b"d" * 20)
    await rig.ended(await rig.runs.start(wanted, principal=other))
    await asyncio.sleep(1.1)
    await rig.ended(await rig.runs.start(wanted))
    assert rig.done() == ["x"] * 3


@virtual()
async def test_the_permits_of_a_sub_run_hang_on_the_permit_that_led_to_it(rig: RunRig) -> None:
    inner = {"plan": 1, "inputs": {"t": {"type": "text"}}, "steps": [call("in", {"$from": "inputs.t"})]}
    run_id = await rig.runs.start(
        plan(
            call("first", "a"),
            {"id": "sub", "sub": {"plan": inner, "inputs": {"t": {"$from": "first.text"}}}},
        )
    )
    seen: list[Job] = []
    rig.nodes["phone"].before = seen.append
    ended = await rig.ended(run_id)
    assert ended["output"] == {"sub": {"in": {"text": "a"}}}
    above, below = (decode(Permit, job.permit.payload) for job in seen if job.permit is not None)
    assert (below.parent, below.run_id != above.run_id) == (above.permit_id, True)
    check_parent(below, seen[1].ext, open_bundle(rig.household.bundle, rig.household.mesh))


@virtual()
async def test_a_plan_that_a_step_made_runs_and_a_wrong_one_fails_by_name(rig: RunRig) -> None:
    for steps, state in (([call("in")], "succeeded"), ([{"id": "in"}], "failed")):
        made = {"$value": {"plan": 1, "steps": steps}}
        run_id = await rig.runs.start(plan({"id": "sub", "sub": {"plan": made}}))
        ended = await rig.ended(run_id)
        assert ended["state"] == state
        assert state == "succeeded" or ended["error"]["field"] == "steps.in"


@virtual()
async def test_a_step_that_fails_is_tried_again_if_that_is_harmless_and_what_was_done_is_undone(
    rig: RunRig,
) -> None:
    phone = rig.nodes["phone"]
    undo = {"call": "notes.append", "args": {"text": {"$text": ["undo ", {"$from": "self.text"}]}}}
    phone.hold = True
    run_id = await rig.runs.start(
        plan(
            call("write", "w", "notes.append", compensate=undo),
            call("echo", "e", retry={"attempts": 2, "backoff_ms": 1_000}, after=["write"]),
        )
    )
    await rig.until(run_id, "write", "running")
    await rig.settle()
    phone.finish()
    for attempt in range(2):
        await rig.until(run_id, "echo", "running")
        await rig.settle()
        phone.hold = attempt == 0
        phone.finish("failed", WireError("CAPABILITY", "it broke"))
        await rig.settle()
    ended = await rig.ended(run_id)
    assert items(ended) == {"write": "succeeded", "echo": "failed", "undo:write": "succeeded"}
    assert (ended["state"], rig.done()) == ("failed", ["w", "e", "e", "undo w"])


@virtual()
async def test_an_uncertain_step_makes_the_run_uncertain_and_says_which(rig: RunRig) -> None:
    phone = rig.nodes["phone"]
    phone.hold = True
    run_id = await rig.runs.start(plan(call("write", "w", "notes.append", retry={"attempts": 5})))
    await rig.until(run_id, "write", "running")
    await rig.settle()
    phone.kill()
    phone.report()
    ended = await rig.ended(run_id)
    assert (ended["state"], ended["where"], rig.done()) == ("uncertain", "write", ["w"])


@virtual()
async def test_cancel_reaches_jobs_and_sub_runs(rig: RunRig) -> None:
    rig.nodes["phone"].hold = True
    inner = {"plan": 1, "steps": [call("in")]}
    run_id = await rig.runs.start(plan(call("one"), {"id": "sub", "sub": {"plan": inner}}))
    await rig.until(run_id, "sub", "running")
    await rig.settle()
    rig.runs.cancel(run_id, "Ann")
    ended = await rig.ended(run_id)
    assert (ended["state"], items(ended)) == ("cancelled", {"one": "cancelled", "sub": "cancelled"})
    assert rig.runs.statistics() == {"open": 0, "items": 0}


ASK = {"id": "q", "ask": {"question": "Well?", "answer": {"yes": {"type": "boolean"}}}}


@virtual()
async def test_whoever_waits_for_a_sub_run_that_cannot_be_read_any_more_goes_on(
    rig: RunRig,
) -> None:
    run_id = await rig.runs.start(plan({"id": "sub", "sub": {"plan": {"plan": 1, "steps": [ASK]}}}))
    await rig.until(run_id, "sub", "running")
    (below,) = rig.runs.open.keys() - {run_id}
    waiting = asyncio.ensure_future(rig.runs.wait(below))
    await rig.settle()
    rig.store.execute("UPDATE run SET asked = x'00' WHERE run_id = ?", (below,))
    with broken(rig, "save_item"):
        await rig.runs.answer(below, "q", {"yes": True}, OWNER)
        await rig.settle()
    assert (await asyncio.wait_for(waiting, 30))["state"] == "failed"
    assert (await asyncio.wait_for(rig.runs.wait(run_id), 30))["state"] == "failed"
    assert rig.runs.statistics() == {"open": 0, "items": 0}


@virtual()
async def test_a_disk_that_cannot_even_be_read_for_a_while_loses_no_run(rig: RunRig) -> None:
    run_id = await rig.runs.start(plan(ASK, call("say", when={"$from": "q.yes"})))
    await rig.until(run_id, "q", "asking")
    waiting = asyncio.ensure_future(rig.runs.wait(run_id))
    with broken(rig, "save_item", "load"):
        await rig.runs.answer(run_id, "q", {"yes": True}, OWNER)
        await asyncio.sleep(5)
    await rig.until(run_id, "q", "asking")
    await asyncio.sleep(2)
    rig.nodes["phone"].up()
    await rig.runs.answer(run_id, "q", {"yes": True}, OWNER)
    assert (await asyncio.wait_for(waiting, 30))["state"] == "succeeded"


@contextmanager
def broken(rig: RunRig, *names: str) -> Iterator[None]:
    """The journal of runs refuses these meanwhile."""

    def refuse(*given: object) -> None:
        raise StoreError("the disk is away")

    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            patch.setattr(rig.runs._journal, name, refuse)
        yield


@virtual()
async def test_a_run_that_is_forgotten_says_so_and_its_memo_is_gone(rig: RunRig) -> None:
    wanted = plan(call("one", "secret words", memo={"max_age_ms": 60_000}))
    run_id = await rig.runs.start(wanted)
    with pytest.raises(InvalidInput):
        rig.runs.forget(run_id)
    await rig.ended(run_id)
    assert rig.runs.forget(run_id)
    rig.store.scrub()
    assert "note" in rig.runs.document(run_id)
    assert b"secret words" not in rig.bytes_on_disk()
    await rig.ended(await rig.runs.start(wanted))
    assert rig.done() == ["secret words"] * 2


@virtual()
async def test_too_many_runs_are_refused_and_the_last_places_are_for_emergencies(
    rig: RunRig,
) -> None:
    wait = plan({"id": "p", "pause": {"for_ms": 1_000_000}})
    for _ in range(RUNS_OPEN_MAX - RUNS_RESERVE):
        await rig.runs.start(wait)
    with pytest.raises(Busy):
        await rig.runs.start(wait)
    await rig.runs.start(wait, priority="emergency")


@virtual()
async def test_old_runs_are_removed_and_open_ones_keep_their_jobs(rig: RunRig) -> None:
    done = await rig.runs.start(plan({"id": "p", "pause": {"for_ms": 1}}))
    waits = await rig.runs.start(
        plan(call("one"), {"id": "q", "ask": {"question": "Well?"}, "after": ["one"]})
    )
    await rig.ended(done)
    await rig.until(waits, "q", "asking")
    job = Finished(1, b"j" * 16, waits, "succeeded", 1)
    assert rig.runs.keep([job]) == [waits]
    await asyncio.sleep(0.01)
    rig.heart.retention.rules = KeepRules(days=0)
    rig.runs.ring()
    with pytest.raises(UnknownJob):
        rig.runs.document(done)
    assert rig.runs.document(waits)["state"] == "running"
