"""Who gets a place: priorities, age, room for emergencies, devices that fail or are switched off, estimates."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.coordinator.heart_kit import ECHO, FakeNode, Rig, wish
from tests.coordinator.test_heart import beat, state, virtual

from kindmesh.coordinator.heart.drains import FINISH_MS
from kindmesh.coordinator.heart.estimate import LEAST_MS, MOST_MS, in_words, wait_ms
from kindmesh.coordinator.heart.queue import AGING_MS
from kindmesh.coordinator.heart.submitting import HeartLimits
from kindmesh.protocol.errors import Busy, WireError
from kindmesh.protocol.ids import parse_time_id
from kindmesh.protocol.manifest import Effect, Limits, Operation
from kindmesh.protocol.messages import SessionType
from kindmesh.protocol.messages.session import Draining

LONE = Operation(
    "lamp.measure", "Measure", ECHO.input, ECHO.output, int(Effect.READ), idempotent=True,
    limits=Limits(max_concurrent=1),
)  # fmt: skip
WRITE = Operation(
    "lamp.write", "Write", ECHO.input, ECHO.output, int(Effect.WRITE), idempotent=False,
    limits=Limits(max_concurrent=1),
)  # fmt: skip
BROKEN = WireError("INTERNAL", "it does not work here")


async def lamp(rig: Rig) -> FakeNode:
    phone = rig.nodes["phone"]
    phone.advertise((LONE, WRITE))
    phone.hold = True
    await rig.settle()
    return phone


async def running(rig: Rig, operation: str, **more: Any) -> bytes:
    job_id = await rig.heart.submit(wish(operation, **more))
    await rig.settle()
    return job_id


# Room for emergencies.


@virtual("phone")
async def test_a_background_job_makes_room_for_an_emergency_and_is_done_afterwards(rig: Rig) -> None:
    phone = await lamp(rig)
    slow = await running(rig, "lamp.measure", priority="background")
    assert state(rig, slow) == "running"
    urgent = await running(rig, "lamp.measure", priority="emergency", text="now")
    assert (state(rig, urgent), state(rig, slow)) == ("running", "queued")
    assert [entry["detail"] for entry in rig.heart.job(slow)["timeline"] if entry["what"] == "makes room"]
    assert "makes room" in str(rig.heart.job(urgent)["timeline"])
    phone.finish()
    await rig.settle()
    assert (state(rig, urgent), state(rig, slow)) == ("succeeded", "running")
    phone.finish()
    await rig.settle()
    assert rig.heart.job(slow)["state"] == "succeeded"


@virtual("phone")
async def test_what_may_not_be_repeated_never_makes_room(rig: Rig) -> None:
    phone = await lamp(rig)
    held = await running(rig, "lamp.write", priority="background")
    urgent = await running(rig, "lamp.write", priority="emergency", text="now")
    assert (state(rig, held), state(rig, urgent)) == ("running", "queued")
    assert phone.cancels == []
    phone.finish()
    await rig.settle()
    assert state(rig, urgent) == "running"


@virtual("phone")
async def test_one_emergency_takes_one_place_and_the_least_urgent_goes_first(rig: Rig) -> None:
    phone = rig.nodes["phone"]
    phone.hold = True
    await running(rig, "speech.render", priority="interactive", text="a")
    slow = [
        await running(rig, "speech.render", priority="background", text=str(number)) for number in range(2)
    ]
    first = await running(rig, "speech.render", priority="emergency", text="one")
    second = await running(rig, "speech.render", priority="emergency", text="two")
    assert [state(rig, job) for job in (first, second)] == ["running", "running"]
    assert sorted(state(rig, job) for job in slow) == ["queued", "running"]


# Lines.


@virtual("phone")
async def test_a_background_job_is_passed_by_interactive_ones_only_so_long(rig: Rig) -> None:
    phone = await lamp(rig)
    keep = asyncio.ensure_future(phone.beating())
    await running(rig, "lamp.measure", text="first")
    old = await running(rig, "lamp.measure", priority="background", text="old")
    passed = 0
    for number in range(20):
        newer = await running(rig, "lamp.measure", text=f"new {number}")
        await asyncio.sleep(AGING_MS / 10_000)
        phone.finish()
        await rig.settle()
        if state(rig, old) == "running":
            break
        passed += 1
        assert state(rig, newer) in ("running", "queued")
    keep.cancel()
    assert 5 <= passed <= 11


@virtual("phone", limits=HeartLimits(open_jobs=40, reserve=4, waiting=5))
async def test_a_full_line_says_how_long_it_will_be_and_has_room_for_emergencies(rig: Rig) -> None:
    phone = await lamp(rig)
    await beat(rig, "phone", seconds=1)
    began = rig.clock.now_ms()
    first = await running(rig, "lamp.measure", text="first")
    await beat(rig, "phone", seconds=8)
    phone.finish()
    await rig.settle()
    assert 8_000 <= rig.heart.job(first)["ended_ms"] - began <= 8_500
    for number in range(6):
        await running(rig, "lamp.measure", text=str(number))
    with pytest.raises(Busy) as caught:
        await rig.heart.submit(wish("lamp.measure"))
    # Six of eight seconds each are before it; the place that runs is one of them.
    assert 48_000 <= caught.value.retry_ms <= 51_000
    assert "about 50 s" in caught.value.hint
    await rig.heart.submit(wish("lamp.measure", priority="emergency"))


@virtual("phone", limits=HeartLimits(open_jobs=20, reserve=4))
async def test_background_jobs_never_take_all_places_in_line(rig: Rig) -> None:
    rig.nodes["phone"].hold = True
    for _ in range(12):
        await rig.heart.submit(wish(priority="background"))
    with pytest.raises(Busy):
        await rig.heart.submit(wish(priority="background"))
    await rig.heart.submit(wish())


@given(st.integers(0, 5_000), st.integers(0, 64), st.floats(0, 1e7))
def test_an_estimate_grows_with_the_line_and_stays_in_its_bounds(
    ahead: int, places: int, service: float
) -> None:
    found = wait_ms(ahead, places, service)
    assert LEAST_MS <= found <= MOST_MS
    assert wait_ms(ahead + 1, places, service) >= found
    assert wait_ms(ahead, places + 1, service) <= found


def test_an_estimate_is_said_as_roughly_as_it_is_known() -> None:
    assert [in_words(ms) for ms in (900, 8_400, 41_000, 130_000)] == [
        "about 1 s", "about 8 s", "about 40 s", "about 2 min",
    ]  # fmt: skip


# Devices that keep failing.


@virtual("phone", "kitchen")
async def test_a_device_that_keeps_failing_an_operation_is_passed_over_and_tried_again_later(
    rig: Rig,
) -> None:
    phone, kitchen = rig.nodes["phone"], rig.nodes["kitchen"]
    beating = [asyncio.ensure_future(node.beating()) for node in (phone, kitchen)]
    phone.hold = True
    for number in range(3):
        await running(rig, "lamp.switch", text=str(number), target=phone.device_id)
        phone.finish("failed", BROKEN)
        await rig.settle()
    assert [event["state"] for event in rig.events if event["event"] == "breaker"] == ["open"]
    verdicts = {
        one["device_name"]: one for one in rig.heart.explain("lamp.switch", {"text": "x"})["candidates"]
    }
    assert "failed 3 times in a row" in verdicts["phone"]["why_not"]
    assert [entry[:2] for entry in rig.heart.devices.breakers(rig.clock.now_ms())] == [
        ("phone", "lamp.switch")
    ]
    assert (await rig.heart.run(wish("lamp.switch")))["device_name"] == "kitchen"
    # Another operation there is not concerned.
    assert rig.heart.explain("device.echo", {"text": "x"}, phone.device_id)["device_name"] == "phone"
    phone.hold = False
    phone.advertise()
    document = await rig.heart.run(wish("lamp.switch", target=phone.device_id))
    assert document["state"] == "succeeded"
    assert 25_000 < document["ended_ms"] - document["submitted_ms"] < 40_000
    assert rig.heart.devices.breakers(rig.clock.now_ms()) == []
    for task in beating:
        task.cancel()


@virtual("phone")
async def test_a_bad_value_or_a_full_device_is_no_failure(rig: Rig) -> None:
    phone = rig.nodes["phone"]
    phone.hold = True
    for number in range(5):
        await running(rig, "lamp.switch", text=str(number))
        phone.finish("failed", WireError("INVALID_INPUT", "no"))
        await rig.settle()
    assert rig.heart.devices.breakers(rig.clock.now_ms()) == []


# Switching a device off.


@virtual("phone", "kitchen")
async def test_a_drained_device_gets_nothing_new_and_what_may_be_repeated_moves_in_time(rig: Rig) -> None:
    phone, kitchen = rig.nodes["phone"], rig.nodes["kitchen"]
    beating = [asyncio.ensure_future(node.beating()) for node in (phone, kitchen)]
    phone.hold = True
    kitchen.down()
    await rig.settle()
    read = await running(rig, "speech.render")
    write = await running(rig, "notes.append")
    kitchen.up()
    await rig.settle()
    rig.heart.drains.ask(phone.device_id, "the owner", "a new battery")
    assert (await rig.heart.run(wish()))["device_name"] == "kitchen"
    node = next(one for one in rig.heart.devices.nodes() if one["name"] == "phone")
    assert (node["jobs"], bool(node["draining"])) == (2, True)
    assert state(rig, read) == "running"
    await asyncio.sleep(FINISH_MS / 1000 + 1)
    moved = rig.heart.job(read)
    assert (moved["state"], moved["device_name"]) == ("succeeded", "kitchen")
    assert [cancel.job_id for cancel in phone.cancels] == [read]
    assert state(rig, write) == "running"
    phone.finish()
    await rig.settle()
    assert rig.heart.job(write)["device_name"] == "phone"
    drained = rig.heart.drains.document(phone.device_id)
    assert drained is not None
    assert drained["empty"]
    assert rig.heart.drains.undo(phone.device_id)
    assert not rig.heart.drains.undo(phone.device_id)
    assert [event["state"] for event in rig.events if event["event"] == "drain"] == ["draining", "serving"]
    for task in beating:
        task.cancel()


@virtual("phone")
async def test_what_cannot_move_is_finished_on_the_drained_device(rig: Rig) -> None:
    phone = rig.nodes["phone"]
    beating = asyncio.ensure_future(phone.beating())
    phone.hold = True
    job_id = await running(rig, "speech.render")
    rig.heart.drains.ask(phone.device_id, "the owner", "")
    await asyncio.sleep(FINISH_MS / 1000 + 1)
    assert state(rig, job_id) == "waiting_device"
    assert phone.cancels == []
    phone.finish()
    await rig.settle()
    assert state(rig, job_id) == "succeeded"
    assert rig.heart.job(job_id)["attempts"] == 1
    urgent = await running(rig, "device.echo", priority="emergency")
    assert state(rig, urgent) == "running"
    beating.cancel()


@virtual("phone", "kitchen")
async def test_what_a_device_says_of_itself_holds_until_its_session_ends(rig: Rig) -> None:
    phone = rig.nodes["phone"]
    phone.say(SessionType.DRAINING, Draining(on=True, grace_ms=4_000))
    await rig.settle()
    assert (await rig.heart.run(wish()))["device_name"] == "kitchen"
    assert rig.heart.drains.document(phone.device_id) is not None
    phone.say(SessionType.DRAINING, Draining(on=False, grace_ms=0))
    await rig.settle()
    assert rig.heart.drains.document(phone.device_id) is None
    phone.say(SessionType.DRAINING, Draining(on=True, grace_ms=4_000))
    await rig.settle()
    phone.up()
    await rig.settle()
    assert rig.heart.drains.document(phone.device_id) is None


@virtual("phone", "kitchen")
async def test_what_the_owner_said_holds_over_restarts_of_both(rig: Rig) -> None:
    phone = rig.nodes["phone"]
    rig.heart.drains.ask(phone.device_id, "the owner", "")
    await rig.settle()
    phone.up()
    await rig.settle()
    await rig.crash()
    await rig.start()
    assert (await rig.heart.run(wish()))["device_name"] == "kitchen"
    phone.say(SessionType.DRAINING, Draining(on=True, grace_ms=4_000))
    await rig.settle()
    document = rig.heart.drains.document(phone.device_id)
    assert document is not None
    assert document["by"] == "the owner"


# The link.


@virtual("phone", "kitchen")
async def test_missed_heartbeats_count_against_a_device(rig: Rig) -> None:
    phone, kitchen = rig.nodes["phone"], rig.nodes["kitchen"]
    for _ in range(10):
        await asyncio.sleep(1)
        phone.beat += 1
        phone.heartbeat()
        kitchen.heartbeat()
    await rig.settle()
    found = {one["name"]: one["loss"] for one in rig.heart.devices.nodes()}
    assert found["kitchen"] == 0
    assert 0.3 < found["phone"] < 0.5
    explained = rig.heart.explain("device.echo", {"text": "x"})
    assert explained["device_name"] == "kitchen"
    links = {one["device_name"]: one["parts"]["link"] for one in explained["candidates"]}
    assert links["phone"] < links["kitchen"]
    assert parse_time_id((await rig.heart.run(wish()))["job"])


# Two attempts at once.


@virtual("phone", "kitchen")
async def test_an_emergency_that_takes_long_is_tried_on_a_second_device_and_the_first_result_counts(
    rig: Rig,
) -> None:
    phone, kitchen = rig.nodes["phone"], rig.nodes["kitchen"]
    beating = [asyncio.ensure_future(node.beating()) for node in (phone, kitchen)]
    phone.hold = kitchen.hold = True
    job_id = await running(rig, "lamp.switch", priority="emergency")
    slow = rig.nodes[rig.heart.job(job_id)["device_name"]]
    fast = kitchen if slow is phone else phone
    fast.hold = False
    document = await rig.heart.wait(job_id)
    await rig.settle()
    assert (document["state"], document["device_name"], document["attempts"]) == ("succeeded", fast.name, 2)
    assert 1_000 <= document["ended_ms"] - document["submitted_ms"] < 1_500
    assert len(document["permits"]) == 2
    assert [request.epoch for request in rig.medulla.asked if request.job_id == job_id] == [1, 2]
    assert [cancel.job_id for cancel in slow.cancels] == [job_id]
    # The slower one is acknowledged, and changes nothing.
    assert (job_id, 1) in slow.taken
    assert rig.heart.job(job_id)["value"] == document["value"]
    assert [rig.heart.devices.find(node.device_id).total for node in (phone, kitchen)] == [0, 0]
    for task in beating:
        task.cancel()


@virtual("phone", "kitchen")
async def test_only_what_may_be_done_again_and_is_urgent_or_asks_for_it_is_tried_twice(rig: Rig) -> None:
    phone, kitchen = rig.nodes["phone"], rig.nodes["kitchen"]
    beating = [asyncio.ensure_future(node.beating()) for node in (phone, kitchen)]
    phone.hold = kitchen.hold = True
    jobs = [
        await running(rig, "notes.append", priority="emergency", hedge_ms=0),
        await running(rig, "lamp.switch"),
        await running(rig, "lamp.switch", text="here", priority="emergency", target=phone.device_id),
        await running(rig, "lamp.switch", text="now", hedge_ms=0),
    ]
    await asyncio.sleep(5)
    assert [rig.heart.job(job)["attempts"] for job in jobs] == [1, 1, 1, 2]
    for task in beating:
        task.cancel()


@virtual("phone", "kitchen")
async def test_a_restart_in_the_middle_of_two_attempts_ends_the_job_once(rig: Rig) -> None:
    phone, kitchen = rig.nodes["phone"], rig.nodes["kitchen"]
    phone.hold = kitchen.hold = True
    job_id = await running(
        rig, "lamp.switch", priority="emergency", hedge_ms=0, deadline_ms=rig.clock.now_ms() + 60_000
    )
    await beat(rig, "phone", "kitchen", seconds=1)
    assert rig.heart.job(job_id)["attempts"] == 2
    await rig.crash()
    await rig.start()
    await rig.settle()
    for node in (phone, kitchen):
        node.hold = False
        node.finish()
    await beat(rig, "phone", "kitchen", seconds=12)
    document = rig.heart.job(job_id)
    assert (document["state"], [entry["what"] for entry in document["timeline"]].count("succeeded")) == (
        "succeeded",
        1,
    )
    assert phone.begun[job_id] <= 1
    assert kitchen.begun[job_id] <= 1
