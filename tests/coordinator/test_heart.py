"""The Heart in virtual time: real journal, machine, placement, timers; nodes and Medulla that do as the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.coordinator.heart_kit import ALL, APPEND, ECHO, RENDER, Rig, wish

from kindmesh.coordinator.heart.heart import Wish
from kindmesh.coordinator.heart.journal import HEART_SCHEMA
from kindmesh.coordinator.heart.submitting import HeartLimits
from kindmesh.mesh.store import Store
from kindmesh.mesh.virtual import SimulatedClock, run_virtual
from kindmesh.protocol.crypto import sha256
from kindmesh.protocol.errors import (
    BackPressure,
    Busy,
    FrameTooLarge,
    InvalidInput,
    Malformed,
    NoDeviceAble,
    NotRunning,
    PermitUsed,
    StoreConflict,
    UnknownJob,
    UnknownOperation,
    WireError,
)
from kindmesh.protocol.ids import parse_time_id
from kindmesh.protocol.messages.jobs import ArtifactInfo, Job
from kindmesh.protocol.signed import Signed

Body = Callable[[Rig], Awaitable[None]]


Test = Callable[[Path], None]


def virtual(*names: str, up: bool = True, limits: HeartLimits | None = None) -> Callable[[Body], Test]:
    """Run the test in virtual time, with a rig that has these nodes."""

    def decorate(body: Body) -> Test:
        def test(tmp_path: Path) -> None:
            async def main() -> None:
                clock = SimulatedClock(asyncio.get_running_loop())
                rig = await Rig(tmp_path, clock, *(names or ("phone",)), limits=limits).start(up=up)
                await body(rig)
                await rig.close()

            run_virtual(main())

        test.__name__, test.__doc__ = body.__name__, body.__doc__
        return test

    return decorate


async def beat(rig: Rig, *names: str, seconds: int) -> None:
    """Time passes; only these nodes are heard."""
    for _ in range(seconds):
        await asyncio.sleep(1)
        for name in names:
            rig.nodes[name].heartbeat()
    await rig.settle()


def on_disk(rig: Rig, job_id: bytes) -> bool:
    with closing(Store.open_readonly(rig.path, HEART_SCHEMA)) as reader:
        return reader.query_one("SELECT count(*) FROM job WHERE job_id = ?", (job_id,)) == (1,)


def state(rig: Rig, job_id: bytes) -> str:
    found: str = rig.heart.job(job_id)["state"]
    return found


# The usual way.


@virtual("phone")
async def test_a_job_is_done_and_its_document_tells_the_whole_story(rig: Rig) -> None:
    seen: list[dict[str, Any]] = []
    document = await rig.heart.run(wish(), seen.append)
    assert document["state"] == "succeeded"
    assert document["value"] == {"text": "hello"}
    assert document["device_name"] == "phone"
    assert [event["state"] for event in seen] == ["queued", "placed", "running", "succeeded"]
    assert [entry["what"] for entry in document["timeline"]] == [
        "submitted", "placed", "permitted", "running", "result", "succeeded",
    ]  # fmt: skip
    permitted = document["timeline"][2]
    assert permitted["detail"] == f"permit {document['permits'][0]}, policy 1, Medulla isolated by landlock"
    assert document["timeline"][1]["detail"] == "the only device that can now"
    job_id = parse_time_id(document["job"])
    await rig.settle()
    assert rig.nodes["phone"].taken == [(job_id, 1)]
    again = rig.heart.job(job_id)
    assert again["args"] == {"text": "hello"}
    assert {key: again[key] for key in document} == document


@virtual("phone")
async def test_submit_returns_when_the_job_is_on_the_disk_and_wait_gives_its_end(rig: Rig) -> None:
    rig.nodes["phone"].hold = True
    for operation in ("device.echo", "notes.append"):
        job_id = await rig.heart.submit(wish(operation))
        assert on_disk(rig, job_id)
        await rig.settle()
        waiting = asyncio.ensure_future(rig.heart.wait(job_id))
        await rig.settle()
        rig.nodes["phone"].finish()
        assert (await waiting)["state"] == "succeeded"
        assert (await rig.heart.wait(job_id))["state"] == "succeeded"


@virtual("phone")
async def test_nothing_is_sent_before_the_job_is_on_the_disk(rig: Rig) -> None:
    phone = rig.nodes["phone"]
    early: list[bytes] = []
    phone.before = lambda job: None if on_disk(rig, job.job_id) else early.append(job.job_id)
    await asyncio.gather(*(rig.heart.run(wish("notes.append")) for _ in range(20)))
    assert len(phone.begun) == 20
    assert early == []


@virtual("phone")
async def test_jobs_are_listed_newest_first_with_a_limit(rig: Rig) -> None:
    ids = [(await rig.heart.run(wish(text=str(number))))["job"] for number in range(5)]
    listed = rig.heart.jobs(limit=3)
    assert [job["job"] for job in listed] == ids[:1:-1]
    assert "value" not in listed[0]
    assert rig.heart.jobs(state="failed") == []
    assert len(rig.heart.jobs(state="succeeded")) == 5


@virtual("phone")
async def test_what_was_said_is_sealed_and_can_be_forgotten(rig: Rig) -> None:
    document = await rig.heart.run(wish(text="a very private thing"))
    assert b"private" not in rig.bytes_on_disk()
    assert rig.heart.forget(parse_time_id(document["run"]))
    forgotten = rig.heart.job(parse_time_id(document["job"]))
    assert (forgotten["value"], forgotten["args"], forgotten["state"]) == (None, None, "succeeded")
    assert "deleted on purpose" in forgotten["note"]


@virtual("phone")
async def test_an_open_run_is_not_forgotten(rig: Rig) -> None:
    rig.nodes["phone"].hold = True
    job_id = await rig.heart.submit(wish())
    with pytest.raises(InvalidInput, match="has not ended"):
        rig.heart.forget(job_id)


@virtual("phone")
async def test_progress_reaches_watchers_and_a_watcher_can_leave(rig: Rig) -> None:
    phone = rig.nodes["phone"]
    phone.hold = True
    seen: list[dict[str, Any]] = []
    leave = rig.heart.watch(seen.append)
    job_id = await rig.heart.submit(wish())
    await rig.settle()
    phone.progress(job_id, 0.5)
    await rig.settle()
    assert seen[-1] == {"event": "progress", "job": seen[0]["job"], "fraction": 0.5, "text": "half way"}
    leave()
    leave()
    count = len(seen)
    phone.finish()
    await rig.settle()
    assert len(seen) == count


@virtual("phone")
async def test_a_key_makes_submitting_twice_the_same_as_once(rig: Rig) -> None:
    phone = rig.nodes["phone"]
    phone.hold = True
    first = asyncio.ensure_future(rig.heart.run(wish("notes.append", key="letter-1")))
    await rig.settle()
    second = asyncio.ensure_future(rig.heart.run(wish("notes.append", key="letter-1")))
    await rig.settle()
    phone.finish()
    assert (await first)["job"] == (await second)["job"]
    assert (await rig.heart.run(wish("notes.append", key="letter-1")))["job"] == (await first)["job"]
    assert sum(phone.begun.values()) == 1
    with pytest.raises(StoreConflict):
        await rig.heart.submit(wish("notes.append", text="another", key="letter-1"))


# What is refused on submit, and how.


@virtual("phone")
async def test_an_unknown_operation_names_the_nearest(rig: Rig) -> None:
    with pytest.raises(UnknownOperation) as caught:
        await rig.heart.submit(wish("speech.rendre"))
    assert caught.value.hint == "Did you mean speech.render?"
    with pytest.raises(UnknownOperation):
        await rig.heart.submit(wish("coffee.brew"))


@virtual("phone")
async def test_bad_values_are_refused_with_the_field(rig: Rig) -> None:
    wishes: list[tuple[Wish, str]] = [
        (Wish("device.echo", {"text": 7}), "text"),
        (Wish("device.echo", {}), "text"),
        (Wish("device.echo", {"text": "a", "txet": "b"}), "txet"),
        (wish(deadline_ms=1), "deadline_ms"),
        (wish(key=""), "key"),
        (wish(run_id=b"short"), "run"),
    ]
    for bad, field in wishes:
        with pytest.raises(InvalidInput) as caught:
            await rig.heart.submit(bad)
        assert caught.value.field == field
    with pytest.raises(InvalidInput, match="bytes"):
        await rig.heart.submit(wish(text="x" * 70_000))
    assert rig.heart.jobs() == []


@virtual("phone", "kitchen", up=False)
async def test_when_no_device_can_ever_do_it_each_says_why_not(rig: Rig) -> None:
    hint = "pip install 'kindmesh[speech]'"
    rig.nodes["phone"].up([RENDER], ready=False, hint=hint)
    rig.nodes["kitchen"].up([ECHO])
    await rig.settle()
    with pytest.raises(NoDeviceAble, match="phone: something it needs is not installed there") as caught:
        await rig.heart.submit(wish("speech.render"))
    assert caught.value.hint == hint
    with pytest.raises(NoDeviceAble, match="does not offer it"):
        await rig.heart.submit(wish("speech.render", target=b"z" * 20))


@virtual("phone", limits=HeartLimits(open_jobs=10, reserve=2))
async def test_a_full_queue_says_busy_and_keeps_room_for_emergencies(rig: Rig) -> None:
    rig.nodes["phone"].hold = True
    for _ in range(8):
        await rig.heart.submit(wish())
    with pytest.raises(Busy) as caught:
        await rig.heart.submit(wish())
    # It has never run, so a fourth of its time limit is assumed.
    assert "about 8 s" in caught.value.hint
    assert caught.value.retry_ms == 7_500
    await rig.heart.submit(wish(priority="emergency"))
    await rig.heart.submit(wish(priority="emergency"))
    with pytest.raises(Busy):
        await rig.heart.submit(wish(priority="emergency"))


@virtual("phone")
async def test_a_job_nobody_knows_is_unknown(rig: Rig) -> None:
    for ask in (rig.heart.job, rig.heart.cancel):
        with pytest.raises(UnknownJob):
            ask(b"x" * 16)
    with pytest.raises(UnknownJob):
        await rig.heart.wait(b"x" * 16)


# Devices come, go, fill up.


@virtual("phone", "kitchen")
async def test_a_harmless_job_moves_within_seconds_when_its_device_falls_silent(rig: Rig) -> None:
    phone, kitchen = rig.nodes["phone"], rig.nodes["kitchen"]
    phone.hold = kitchen.hold = True
    job_id = await rig.heart.submit(wish("speech.render"))
    await rig.settle()
    first, second = (phone, kitchen) if phone.begun else (kitchen, phone)
    await beat(rig, second.name, seconds=4)
    assert job_id in second.begun
    assert "moved" in rig.states(job_id)
    second.finish()
    await rig.settle()
    assert state(rig, job_id) == "succeeded"
    first.finish()
    await rig.settle()
    assert rig.states(job_id).count("succeeded") == 1
    assert (job_id, 1) in first.taken


@virtual("phone", "kitchen")
async def test_a_moved_job_is_cancelled_where_it_was_when_that_device_is_back(rig: Rig) -> None:
    phone, kitchen = rig.nodes["phone"], rig.nodes["kitchen"]
    phone.hold = kitchen.hold = True
    job_id = await rig.heart.submit(wish("speech.render"))
    await rig.settle()
    first, second = (phone, kitchen) if phone.begun else (kitchen, phone)
    first.down()
    await rig.settle()
    assert job_id in second.begun
    first.up()
    await rig.settle()
    assert [cancel.epoch for cancel in first.cancels] == [1]


@virtual("phone", "kitchen")
async def test_what_may_not_be_done_twice_waits_for_its_own_device(rig: Rig) -> None:
    phone, kitchen = rig.nodes["phone"], rig.nodes["kitchen"]
    phone.hold = kitchen.hold = True
    job_id = await rig.heart.submit(wish("notes.append"))
    await rig.settle()
    first, second = (phone, kitchen) if phone.begun else (kitchen, phone)
    first.down()
    await rig.settle()
    assert state(rig, job_id) == "waiting_device"
    assert rig.heart.job(job_id)["why"] == "its device is away with it"
    first.finish()
    first.up()
    await rig.settle()
    assert state(rig, job_id) == "succeeded"
    assert not second.begun
    assert first.begun[job_id] == 1


@virtual("phone")
async def test_an_effect_whose_device_never_returns_is_uncertain(rig: Rig) -> None:
    rig.nodes["phone"].hold = True
    job_id = await rig.heart.submit(wish("notes.append", deadline_ms=rig.clock.now_ms() + 20_000))
    await rig.settle()
    rig.nodes["phone"].down()
    document = await rig.heart.wait(job_id)
    assert (document["state"], document["error"]["code"]) == ("uncertain", "UNCERTAIN")
    assert document["ended_ms"] - document["submitted_ms"] < 21_000


@virtual("phone")
async def test_a_device_that_speaks_again_after_a_suspicion_gets_its_job_again(rig: Rig) -> None:
    phone = rig.nodes["phone"]
    phone.deaf = True
    job_id = await rig.heart.submit(wish("notes.append"))
    await asyncio.sleep(4)
    assert state(rig, job_id) == "waiting_device"
    phone.deaf = False
    phone.heartbeat()
    await rig.settle()
    assert state(rig, job_id) == "succeeded"


@virtual("phone")
async def test_a_new_session_in_place_of_an_old_one_is_no_loss(rig: Rig) -> None:
    phone = rig.nodes["phone"]
    phone.hold = True
    job_id = await rig.heart.submit(wish("notes.append"))
    await rig.settle()
    rig.endpoint.link(phone, True)
    await rig.settle()
    assert "lost" not in rig.states(job_id)
    assert phone.begun[job_id] == 1


@virtual("phone", up=False)
async def test_a_job_for_a_device_that_is_away_waits_visibly_and_goes_when_it_is_back(rig: Rig) -> None:
    phone = rig.nodes["phone"]
    phone.up()
    await rig.settle()
    phone.down()
    await rig.settle()
    waiting = asyncio.ensure_future(rig.heart.run(wish("notes.append")))
    await rig.settle()
    assert rig.heart.jobs()[0]["state"] == "waiting_device"
    phone.up()
    assert (await waiting)["state"] == "succeeded"


@virtual("phone")
async def test_nobody_in_time_ends_as_no_device_able(rig: Rig) -> None:
    rig.nodes["phone"].down()
    await rig.settle()
    document = await rig.heart.run(wish(deadline_ms=rig.clock.now_ms() + 5_000))
    assert (document["state"], document["error"]["code"]) == ("expired", "NO_DEVICE_ABLE")
    assert "phone: gone" in document["error"]["message"]


@virtual("phone")
async def test_a_device_gets_no_more_at_once_than_it_declares_and_the_rest_follows_in_order(rig: Rig) -> None:
    phone = rig.nodes["phone"]
    phone.hold = True
    ids = [await rig.heart.submit(wish("speech.render", text=str(number))) for number in range(6)]
    urgent = await rig.heart.submit(wish("speech.render", priority="emergency"))
    await rig.settle()
    # Of its four places the last is kept for emergencies.
    assert list(phone.begun) == [*ids[:3], urgent]
    assert rig.heart.statistics()["states"] == {"running": 4, "queued": 3}
    phone.finish()
    await rig.settle()
    assert list(phone.begun)[4:] == ids[3:]
    phone.finish()
    await rig.settle()
    assert rig.heart.statistics()["open"] == 0


@virtual("phone", "kitchen")
async def test_a_queue_for_one_device_does_not_hold_up_another(rig: Rig) -> None:
    phone, kitchen = rig.nodes["phone"], rig.nodes["kitchen"]
    phone.hold = kitchen.hold = True
    for _ in range(5):
        await rig.heart.submit(wish("speech.render", target=phone.device_id))
    for _ in range(5):
        await rig.heart.submit(wish("speech.render", target=kitchen.device_id))
    await rig.settle()
    assert (len(phone.begun), len(kitchen.begun)) == (3, 3)
    kitchen.finish()
    await rig.settle()
    assert (len(phone.begun), len(kitchen.begun)) == (3, 5)


@virtual("phone")
async def test_a_busy_device_is_tried_again_when_it_said_so(rig: Rig) -> None:
    phone = rig.nodes["phone"]
    phone.busy = True
    began = rig.clock.now_ms()
    job_id = await rig.heart.submit(wish("notes.append"))
    await rig.settle()
    assert state(rig, job_id) == "queued"
    phone.busy = False
    document = await rig.heart.wait(job_id)
    assert document["state"] == "succeeded"
    assert 200 <= rig.clock.now_ms() - began < 1_000
    assert document["attempts"] == 2


@virtual("phone")
async def test_a_job_that_the_link_does_not_take_is_tried_again(rig: Rig) -> None:
    rig.endpoint.breaks = BackPressure()
    job_id = await rig.heart.submit(wish("notes.append"))
    await rig.settle()
    rig.endpoint.breaks = None
    assert (await rig.heart.wait(job_id))["state"] == "succeeded"
    assert "not sent" in rig.states(job_id)


@virtual("phone")
async def test_a_job_too_large_for_the_link_fails_with_that_reason(rig: Rig) -> None:
    rig.endpoint.breaks = FrameTooLarge()
    document = await rig.heart.run(wish("notes.append"))
    assert (document["state"], document["error"]["code"]) == ("failed", "FRAME_TOO_LARGE")


@virtual("phone")
async def test_a_lost_message_is_sent_again(rig: Rig) -> None:
    phone = rig.nodes["phone"]
    phone.deaf = True
    job_id = await rig.heart.submit(wish("notes.append"))
    await rig.settle()
    phone.deaf = False
    await beat(rig, "phone", seconds=3)
    assert state(rig, job_id) == "succeeded"


@virtual("phone", "kitchen", up=False)
async def test_an_advert_that_offers_more_wakes_jobs_that_wait(rig: Rig) -> None:
    phone, kitchen = rig.nodes["phone"], rig.nodes["kitchen"]
    phone.up([APPEND])
    kitchen.up(ALL)
    await rig.settle()
    kitchen.down()
    await rig.settle()
    job_id = await rig.heart.submit(wish())
    assert state(rig, job_id) == "waiting_device"
    phone.advertise(ALL)
    await rig.settle()
    assert state(rig, job_id) == "succeeded"


# Ends that are not successes.


@virtual("phone")
async def test_a_failure_is_told_with_its_reason(rig: Rig) -> None:
    phone = rig.nodes["phone"]
    phone.hold = True
    waiting = asyncio.ensure_future(rig.heart.run(wish("speech.render")))
    await rig.settle()
    phone.finish("failed", WireError("UNKNOWN_VOICE", "there is no such voice", "Use another.", "voice"))
    document = await waiting
    assert document["state"] == "failed"
    assert document["error"] == {
        "code": "UNKNOWN_VOICE", "message": "there is no such voice", "hint": "Use another.", "field": "voice",
    }  # fmt: skip


@virtual("phone")
async def test_a_result_that_is_none_is_a_failure_and_not_a_crash(rig: Rig) -> None:
    phone = rig.nodes["phone"]
    phone.hold = True
    for junk in (b"\xc1", b"\x01", b""):
        waiting = asyncio.ensure_future(rig.heart.run(wish("speech.render")))
        await rig.settle()
        phone.finish("succeeded", value=junk, started_ms=-5, ended_ms=1 << 60)
        document = await waiting
        assert (document["state"], document["error"]["code"]) == ("failed", "MALFORMED")


@virtual("phone")
async def test_an_ending_without_a_reason_gets_one(rig: Rig) -> None:
    phone = rig.nodes["phone"]
    phone.hold = True
    waiting = asyncio.ensure_future(rig.heart.run(wish("speech.render")))
    await rig.settle()
    phone.finish("uncertain", permit_id=b"junk")
    assert (await waiting)["error"]["code"] == "UNCERTAIN"


@virtual("phone")
async def test_a_job_is_cancelled_by_its_device_or_at_once(rig: Rig) -> None:
    phone = rig.nodes["phone"]
    phone.hold = True
    job_id = await rig.heart.submit(wish("notes.append"))
    await rig.settle()
    assert rig.heart.cancel(job_id)["state"] == "running"
    await rig.settle()
    assert state(rig, job_id) == "cancelled"
    assert rig.heart.cancel(job_id)["state"] == "cancelled"
    phone.down()
    await rig.settle()
    job_id = await rig.heart.submit(wish("notes.append"))
    assert rig.heart.cancel(job_id)["state"] == "cancelled"


@virtual("phone")
async def test_a_device_that_takes_too_long_is_told_to_stop(rig: Rig) -> None:
    phone = rig.nodes["phone"]
    phone.hold = True
    beating = asyncio.ensure_future(phone.beating())
    document = await rig.heart.run(wish("speech.render", deadline_ms=rig.clock.now_ms() + 10_000))
    beating.cancel()
    assert document["state"] == "expired"
    assert phone.cancels


@virtual("phone")
async def test_a_silent_effect_is_uncertain_a_moment_after_its_deadline(rig: Rig) -> None:
    phone = rig.nodes["phone"]
    phone.hold = True
    beating = asyncio.ensure_future(phone.beating())
    waiting = asyncio.ensure_future(
        rig.heart.run(wish("notes.append", deadline_ms=rig.clock.now_ms() + 10_000))
    )
    await rig.settle()
    phone.deaf = True
    document = await waiting
    beating.cancel()
    assert document["state"] == "uncertain"
    assert 12_900 < document["ended_ms"] - document["submitted_ms"] < 13_500
    phone.finish()
    await rig.settle()
    assert rig.states(parse_time_id(document["job"]))[-2:] == ["late result", "settled"]
    assert len(phone.taken) == 1


# Medulla.


@virtual("phone")
async def test_what_medulla_denies_fails_with_all_reasons(rig: Rig) -> None:
    rig.medulla.answer = lambda request: "deny"
    document = await rig.heart.run(wish("notes.append"))
    assert (document["state"], document["error"]["code"]) == ("failed", "DENIED")
    assert document["error"]["message"] == "the owner's policy forbids it; and it is late"
    assert not rig.nodes["phone"].begun


@virtual("phone")
async def test_an_answer_of_medulla_that_is_none_is_a_no(rig: Rig) -> None:
    rig.medulla.answer = lambda request: "garbage"
    document = await rig.heart.run(wish("notes.append"))
    assert (document["state"], document["error"]["code"]) == ("failed", "MALFORMED")
    assert not rig.nodes["phone"].begun


@virtual("phone", up=False)
async def test_without_medulla_jobs_and_adverts_wait_and_nothing_is_sent(rig: Rig) -> None:
    phone = rig.nodes["phone"]
    rig.medulla.gone = True
    phone.up()
    await beat(rig, "phone", seconds=2)
    with pytest.raises(UnknownOperation):
        await rig.heart.submit(wish())
    rig.medulla.gone = False
    await beat(rig, "phone", seconds=1)
    rig.medulla.gone = True
    job_id = await rig.heart.submit(wish())
    await beat(rig, "phone", seconds=2)
    assert rig.heart.job(job_id)["timeline"][-1]["detail"] == "the reviewer is restarting"
    assert not phone.begun
    rig.medulla.gone = False
    assert (await rig.heart.wait(job_id))["state"] == "succeeded"


@virtual("phone")
async def test_a_person_is_asked_shown_the_very_bytes_and_the_answer_lets_it_go(rig: Rig) -> None:
    rig.medulla.answer = lambda request: "ask"
    job_id = await rig.heart.submit(wish("notes.append"))
    await rig.settle()
    assert state(rig, job_id) == "waiting_approval"
    [asked] = rig.heart.approvals()
    assert asked["reasons"] == ["the owner's policy asks before: write"]
    assert any(event.get("request") == asked["request"] for event in rig.events)
    await beat(rig, "phone", seconds=300)
    assert (await rig.heart.approve(rig.medulla.yes(asked["request"])))["state"] in (
        "waiting_approval",
        "placed",
    )
    assert (await rig.heart.wait(job_id))["state"] == "succeeded"
    assert rig.heart.approvals() == []
    with pytest.raises(UnknownJob):
        await rig.heart.approve(rig.medulla.yes(asked["request"]))


@virtual("phone")
async def test_a_no_ends_the_job(rig: Rig) -> None:
    rig.medulla.answer = lambda request: "ask"
    job_id = await rig.heart.submit(wish("notes.append"))
    await rig.settle()
    [asked] = rig.heart.approvals()
    await rig.heart.approve(rig.medulla.yes(asked["request"], "deny"))
    document = await rig.heart.wait(job_id)
    assert (document["state"], document["error"]["message"]) == ("failed", "the owner said no")


@virtual("phone")
async def test_a_question_nobody_answers_ends_the_job_with_that_reason(rig: Rig) -> None:
    rig.medulla.answer = lambda request: "ask"
    document = await rig.heart.run(wish("notes.append"))
    assert (document["state"], document["error"]["code"]) == ("expired", "NEEDS_APPROVAL")


@virtual("phone")
async def test_an_answer_that_medulla_does_not_take_leaves_the_question(rig: Rig) -> None:
    rig.medulla.answer = lambda request: "ask"
    job_id = await rig.heart.submit(wish("notes.append"))
    await rig.settle()
    [asked] = rig.heart.approvals()
    rig.medulla.gone = True
    with pytest.raises(NotRunning):
        await rig.heart.approve(rig.medulla.yes(asked["request"]))
    with pytest.raises(Malformed):
        await rig.heart.approve(Signed(b"junk", b"", b""))
    rig.medulla.gone = False
    rig.medulla.questions.clear()
    with pytest.raises(PermitUsed):
        await rig.heart.approve(rig.medulla.yes(asked["request"]))
    await rig.settle()
    [anew] = rig.heart.approvals()
    assert anew["request"] != asked["request"]
    await rig.heart.approve(rig.medulla.yes(anew["request"]))
    assert (await rig.heart.wait(job_id))["state"] == "succeeded"


@virtual("phone")
async def test_an_approved_job_keeps_its_permit_while_the_device_is_busy(rig: Rig) -> None:
    rig.medulla.answer = lambda request: "ask"
    rig.nodes["phone"].busy = True
    job_id = await rig.heart.submit(wish("notes.append"))
    await rig.settle()
    [asked] = rig.heart.approvals()
    await rig.heart.approve(rig.medulla.yes(asked["request"]))
    await rig.settle()
    rig.nodes["phone"].busy = False
    assert (await rig.heart.wait(job_id))["state"] == "succeeded"
    assert len(rig.medulla.asked) == 1


# Files, calls, looking.


@virtual("phone", "kitchen")
async def test_a_job_goes_to_the_device_that_has_the_file_and_is_told_where_it_is(rig: Rig) -> None:
    phone, kitchen = rig.nodes["phone"], rig.nodes["kitchen"]
    letter = b"a letter" * 1000
    for holder in (phone, kitchen):
        held = holder.holds(letter)
        image = {"artifact": held.artifact.hex()}
        document = await rig.heart.run(Wish("vision.read_text", {"image": image}, sources=(held,)))
        assert document["device_name"] == holder.name
        assert "has the files already" in document["timeline"][1]["detail"]


@virtual("phone", "kitchen")
async def test_what_a_job_made_is_found_where_it_was_made(rig: Rig) -> None:
    phone = rig.nodes["phone"]
    phone.hold = True
    waiting = asyncio.ensure_future(rig.heart.run(wish("speech.render", target=phone.device_id)))
    await rig.settle()
    made = ArtifactInfo(sha256(b"wav"), 3, "audio/wav", b"z" * 20)
    phone.finish(artifacts=(made, ArtifactInfo(b"short" * 7, 3, "audio/wav", phone.device_id))[:1])
    [artifact] = (await waiting)["artifacts"]
    assert artifact["artifact"] == made.artifact.hex()
    phone.hold = False
    sent: list[Job] = []
    rig.nodes["kitchen"].before = sent.append
    await rig.heart.submit(
        Wish(
            "vision.read_text",
            {"image": {"artifact": made.artifact.hex()}},
            target=rig.nodes["kitchen"].device_id,
        )
    )
    await rig.settle()
    assert sent[0].sources == (ArtifactInfo(made.artifact, 3, "audio/wav", phone.device_id),)


@virtual("phone", "kitchen")
async def test_explain_shows_every_device_with_its_sums_or_why_not(rig: Rig) -> None:
    rig.nodes["kitchen"].down()
    await beat(rig, "phone", seconds=5)
    explained = rig.heart.explain("speech.render", {"text": "x"})
    assert explained["device_name"] == "phone"
    best, away = explained["candidates"]
    assert best["score"] == pytest.approx(sum(best["parts"].values()))
    assert away["why_not"].startswith("gone, last heard")
    assert len(explained["text"]) == 2


@virtual("phone")
async def test_a_session_call_needs_no_job(rig: Rig) -> None:
    assert await rig.heart.call("device.echo", {"text": "hi"}) == {"text": "hi"}
    with pytest.raises(InvalidInput):
        await rig.heart.call("notes.append", {"text": "hi"})
    rig.nodes["phone"].down()
    await rig.settle()
    with pytest.raises(NoDeviceAble):
        await rig.heart.call("device.echo", {"text": "hi"})
    assert rig.heart.jobs() == []


@virtual("phone", "kitchen")
async def test_nodes_and_capabilities_are_plain_data(rig: Rig) -> None:
    rig.nodes["phone"].heartbeat(load=0.5, battery=0.2)
    rig.nodes["kitchen"].down()
    await rig.settle()
    nodes = {node["name"]: node for node in rig.heart.devices.nodes()}
    assert nodes["desk"]["role"] == "coordinator"
    assert nodes["phone"]["facts"]["battery"] == 0.2
    assert (nodes["phone"]["state"], nodes["kitchen"]["state"]) == ("alive", "suspect")
    offers = list(rig.heart.devices.capabilities())
    assert {offer["capability"] for offer in offers} == {"device", "lamp", "notes", "speech", "vision"}
    assert offers[0]["operations"][0]["effects"] == ["read"]
    assert {event["state"] for event in rig.events if event["event"] == "node"} >= {"alive", "suspect"}


@virtual("phone")
async def test_devices_are_named_by_name_or_id(rig: Rig) -> None:
    phone = rig.nodes["phone"].device_id
    node = next(node for node in rig.heart.devices.nodes() if node["name"] == "phone")
    assert rig.heart.devices.resolve("Phone") == rig.heart.devices.resolve(node["id"]) == phone
    with pytest.raises(InvalidInput) as caught:
        rig.heart.devices.resolve("phon")
    assert caught.value.hint == "Did you mean phone?"


@virtual("phone")
async def test_a_job_is_named_by_the_beginning_of_its_id(rig: Rig) -> None:
    first = (await rig.heart.run(wish()))["job"]
    await asyncio.sleep(3600)
    rig.nodes["phone"].heartbeat()
    second = (await rig.heart.run(wish()))["job"]
    named = rig.heart.read.named
    assert named(second) == named(second[:16].upper()) == parse_time_id(second)
    with pytest.raises(InvalidInput, match="several jobs") as several:
        named(first[:3])
    assert first in several.value.hint
    with pytest.raises(UnknownJob):
        named("vvv")
    with pytest.raises(UnknownJob):
        named(second[:16], "person nobody")
