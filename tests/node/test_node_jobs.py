"""Jobs on a real node: run, answered, refused, cancelled, stopped, over the memory transport."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.node.rig import CLOCK, Rig, rig, value

from kindmesh.node.app import Node
from kindmesh.protocol.codec import decode_value, encode_value
from kindmesh.protocol.crypto import sha256
from kindmesh.protocol.errors import (
    CapabilityCrashed,
    DeadlineExceeded,
    InternalError,
    InvalidInput,
    PermitMissing,
    UnknownOperation,
)
from kindmesh.protocol.messages import JobCancel, JobResult, MessageType
from kindmesh.protocol.messages.events import MeshEvent
from kindmesh.protocol.messages.jobs import ArtifactInfo


@pytest.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path) as made:
        yield made


@pytest.fixture
async def phone(mesh: Rig) -> AsyncIterator[Node]:
    async with mesh.node() as node:
        yield node


def code(result: JobResult) -> str:
    assert result.outcome in ("failed", "cancelled", "interrupted", "uncertain"), result
    assert result.error is not None
    assert "Traceback" not in result.error.message
    return result.error.code


def written(mesh: Rig, name: str = "phone") -> list[str]:
    path = mesh.home(name).data / "probe" / "written"
    return path.read_text().splitlines() if path.exists() else []


async def test_a_read_is_answered_with_its_permit_and_times(mesh: Rig, phone: Node) -> None:
    result = await mesh.desk.run(mesh.id(), "device.echo", {"text": "hello"})
    assert value(result) == {"text": "hello"}
    assert result.permit_id
    assert 0 < result.started_ms <= result.ended_ms


async def test_a_quick_job_is_not_acknowledged_and_a_slow_one_is(mesh: Rig, phone: Node) -> None:
    quick = await mesh.desk.run(mesh.id(), "device.echo", {"text": "a"})
    slow = await mesh.desk.run(mesh.id(), "probe.read", {"text": "b", "wait_ms": 100})
    assert not mesh.desk.all("JobAccepted", quick.job_id)
    assert [body.state for body in mesh.desk.all("JobAccepted", slow.job_id)] == ["running"]
    assert [body.fraction for body in mesh.desk.all("JobProgress", slow.job_id)] == [0.5]


async def test_an_effect_happens_once_however_often_the_job_comes(mesh: Rig, phone: Node) -> None:
    job = mesh.desk.job(mesh.id(), "probe.write", {"text": "milk", "wait_ms": 50})
    for _ in range(3):
        mesh.desk.send(mesh.id(), job)
    first = await mesh.desk.result(job.job_id)
    mesh.desk.send(mesh.id(), job)
    await mesh.desk.until(lambda: len(mesh.desk.all("result", job.job_id)) == 2)
    assert mesh.desk.all("result", job.job_id) == [first, first]
    assert written(mesh) == ["milk"]


async def test_a_later_epoch_of_a_finished_effect_gets_its_answer_and_an_earlier_is_refused(
    mesh: Rig, phone: Node
) -> None:
    first = await mesh.desk.run(mesh.id(), "probe.write", {"text": "milk"})
    again = await mesh.desk.run(mesh.id(), "probe.write", {"text": "milk"}, job_id=first.job_id, epoch=3)
    assert again.epoch == 3
    assert again.value == first.value
    assert again.permit_id != first.permit_id
    stale = await mesh.desk.run(mesh.id(), "probe.write", {"text": "milk"}, job_id=first.job_id, epoch=2)
    assert code(stale) == "PERMIT_STALE"
    assert written(mesh) == ["milk"]


async def test_a_later_epoch_takes_over_a_running_job(mesh: Rig, phone: Node) -> None:
    job = mesh.desk.job(mesh.id(), "probe.write", {"text": "milk", "wait_ms": 150})
    mesh.desk.send(mesh.id(), job)
    await mesh.desk.until(lambda: mesh.desk.all("JobAccepted", job.job_id))
    args = {"text": "milk", "wait_ms": 150}
    result = await mesh.desk.run(mesh.id(), "probe.write", args, job_id=job.job_id, epoch=2)
    assert result.outcome == "succeeded"
    assert written(mesh) == ["milk"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"permit": None}, "PERMIT_MISSING"),
        ({"epoch": 9}, "PERMIT_MISMATCH"),
        ({"args": encode_value({"text": "other"})}, "PERMIT_MISMATCH"),
        ({"operation": "probe.read"}, "PERMIT_MISMATCH"),
    ],
)
async def test_a_job_whose_permit_does_not_fit_is_refused(
    mesh: Rig, phone: Node, changes: dict[str, Any], expected: str
) -> None:
    import msgspec

    job = msgspec.structs.replace(mesh.desk.job(mesh.id(), "probe.write", {"text": "a"}), **changes)
    mesh.desk.send(mesh.id(), job)
    result = await mesh.desk.result(job.job_id, job.epoch)
    assert code(result) == expected
    assert result.started_ms == 0
    assert written(mesh) == []


async def test_an_expired_permit_and_one_for_another_device_are_refused(mesh: Rig, phone: Node) -> None:
    for node, more, expected in (
        (
            mesh.id(),
            {"expires_ms": CLOCK.now_ms() - 10**7, "issued_ms": CLOCK.now_ms() - 2 * 10**7},
            "PERMIT_EXPIRED",
        ),
        (mesh.id("kitchen"), {}, "PERMIT_MISMATCH"),
    ):
        job = mesh.desk.job(mesh.id(), "probe.write", {"text": "a"})
        permit = mesh.household.permit(
            target=node, operation="probe.write", args=job.args, effects=4, job_id=job.job_id, **more
        )
        result = await mesh.desk.run(
            mesh.id(), "probe.write", {"text": "a"}, job_id=job.job_id, permit=permit
        )
        assert code(result) == expected


@pytest.mark.parametrize(
    ("operation", "args", "expected", "hint"),
    [
        ("probe.raed", {"text": "a"}, "UNKNOWN_OPERATION", "probe.read"),
        ("probe.read", {"text": 3}, "INVALID_INPUT", ""),
        ("probe.read", {"txt": "a"}, "INVALID_INPUT", "text"),
        ("probe.read", {"text": "a" * 2_000}, "INVALID_INPUT", ""),
        ("probe.size", {"file": {"artifact": "0" * 64}}, "ARTIFACT_MISSING", ""),
        ("probe.bug", {"text": "secret"}, "CAPABILITY_CRASHED", "log"),
        ("probe.large", {"text": "a"}, "INTERNAL", ""),
        ("probe.write", {"text": "refuse"}, "INVALID_INPUT", ""),
    ],
)
async def test_bad_input_is_an_answer(
    mesh: Rig, phone: Node, operation: str, args: dict[str, Any], expected: str, hint: str
) -> None:
    result = await mesh.desk.run(mesh.id(), operation, args)
    assert code(result) == expected
    assert result.error is not None
    assert hint in result.error.hint
    assert "secret" not in str(result.error)
    assert value(await mesh.desk.run(mesh.id(), "device.echo", {"text": "still here"}))


async def test_bytes_that_are_no_arguments_are_refused(mesh: Rig, phone: Node) -> None:
    job = mesh.desk.job(mesh.id(), "probe.read", {"text": "a"})
    permit = mesh.desk.permit(mesh.id(), "probe.read", b"\xc1", job.job_id)
    mesh.desk.send(mesh.id(), msgspec.structs.replace(job, args=b"\xc1", permit=permit))
    assert code(await mesh.desk.result(job.job_id)) == "MALFORMED"


async def test_a_running_job_is_cancelled(mesh: Rig, phone: Node) -> None:
    job = mesh.desk.job(mesh.id(), "probe.read", {"text": "a", "wait_ms": 9_000})
    mesh.desk.send(mesh.id(), job)
    await mesh.desk.until(lambda: mesh.desk.all("JobAccepted", job.job_id))
    mesh.desk.cancel(mesh.id(), job, epoch=0)
    mesh.desk.cancel(mesh.id(), job)
    result = await mesh.desk.result(job.job_id)
    assert (result.outcome, code(result)) == ("cancelled", "CANCELLED")
    assert phone.executor.running == 0


async def test_only_who_sent_a_job_or_the_coordinator_cancels_it(mesh: Rig, phone: Node) -> None:
    async with mesh.node("kitchen") as kitchen:
        job = mesh.desk.job(mesh.id(), "probe.read", {"text": "a", "wait_ms": 200})
        mesh.desk.send(mesh.id(), job)
        await mesh.desk.until(lambda: mesh.desk.all("JobAccepted", job.job_id))
        kitchen.uplink.post(mesh.id(), MessageType.JOB_CANCEL, JobCancel(job.job_id, 1))
        assert (await mesh.desk.result(job.job_id)).outcome == "succeeded"


async def test_a_critical_extension_that_is_not_known_refuses_the_job(mesh: Rig, phone: Node) -> None:
    result = await mesh.desk.run(mesh.id(), "device.echo", {"text": "a"}, ext={"!shiny": b"\xc3"})
    assert code(result) == "UNKNOWN_CRITICAL"


async def test_a_job_may_ask_that_even_a_read_survives_a_power_cut(mesh: Rig, phone: Node) -> None:
    before = phone.store.statistics().syncs
    await mesh.desk.run(mesh.id(), "device.echo", {"text": "a"})
    assert phone.store.statistics().syncs == before
    await mesh.desk.run(mesh.id(), "device.echo", {"text": "a"}, ext={"full": b"\xc3"})
    assert phone.store.statistics().syncs >= before + 2


async def test_a_stored_result_that_cannot_be_read_is_uncertain_and_not_silence(
    mesh: Rig, phone: Node
) -> None:
    mesh.desk.take = False
    job = mesh.desk.job(mesh.id(), "probe.write", {"text": "a"})
    mesh.desk.send(mesh.id(), job)
    await mesh.desk.result(job.job_id)
    phone.store.execute("UPDATE jobs SET result = zeroblob(80)")
    mesh.desk.send(mesh.id(), job)
    await mesh.desk.until(lambda: len(mesh.desk.all("result", job.job_id)) == 2)
    second = mesh.desk.all("result", job.job_id)[1]
    assert (second.outcome, code(second)) == ("uncertain", "STORE_DAMAGED")


async def test_a_deadline_reaches_a_running_read_and_an_effect(mesh: Rig, phone: Node) -> None:
    read = await mesh.desk.run(mesh.id(), "probe.read", {"text": "a", "wait_ms": 9_000}, within_ms=100)
    assert (read.outcome, code(read)) == ("failed", "DEADLINE_EXCEEDED")
    write = await mesh.desk.run(mesh.id(), "probe.write", {"text": "a", "wait_ms": 9_000}, within_ms=100)
    assert (write.outcome, code(write)) == ("uncertain", "UNCERTAIN")
    late = await mesh.desk.run(mesh.id(), "probe.write", {"text": "late"}, within_ms=-1)
    assert (code(late), late.started_ms) == ("DEADLINE_EXCEEDED", 0)
    assert written(mesh) == ["a"]


async def test_a_busy_device_says_when_to_ask_again(mesh: Rig, phone: Node) -> None:
    args = {"text": "a", "wait_ms": 300}
    first = mesh.desk.send(mesh.id(), mesh.desk.job(mesh.id(), "probe.write", args))
    await mesh.desk.until(lambda: mesh.desk.all("JobAccepted", first))
    busy = await mesh.desk.run(mesh.id(), "probe.write", args)
    assert code(busy) == "BUSY"
    assert decode_value(busy.ext["retry_ms"]) > 0
    urgent = await mesh.desk.run(mesh.id(), "probe.write", {"text": "b"}, priority="emergency")
    assert urgent.outcome == "succeeded"


async def test_a_capability_that_crashes_is_isolated_and_an_effect_is_uncertain(
    mesh: Rig, phone: Node
) -> None:
    read = await mesh.desk.run(mesh.id(), "probe.crash", {"text": "a"})
    assert (read.outcome, code(read)) == ("failed", "CAPABILITY_CRASHED")
    write = await mesh.desk.run(mesh.id(), "probe.crash_write", {"text": "a"})
    assert (write.outcome, code(write)) == ("uncertain", "UNCERTAIN")


async def test_a_capability_that_keeps_failing_rests_and_the_advert_says_so(mesh: Rig, phone: Node) -> None:
    heard: list[MeshEvent] = []
    phone.bus.subscribe("system.capability.*", heard.append)
    for _ in range(5):
        await mesh.desk.run(mesh.id(), "probe.bug", {"text": "a"})
    advert = await mesh.desk.until(lambda: next((one for one in mesh.desk.adverts if one.version == 2), None))
    offers = {offer.manifest.capability: offer for offer in advert.offers}
    assert not offers["probe"].ready
    assert "rests" in offers["probe"].hint
    assert offers["device"].ready
    refused = await mesh.desk.run(mesh.id(), "probe.read", {"text": "a"})
    assert (code(refused), refused.started_ms) == ("CAPABILITY_QUARANTINED", 0)
    assert value(await mesh.desk.run(mesh.id(), "device.echo", {"text": "fine"}))
    phone.ward.heal("probe")
    assert value(await mesh.desk.run(mesh.id(), "probe.read", {"text": "a"}))
    assert [event.topic for event in heard] == ["system.capability.quarantined", "system.capability.restored"]
    assert "ZeroDivisionError" in heard[0].values()["why"]
    assert heard[1].values()["by"] == "a person"


async def test_a_capability_that_does_not_end_is_left_behind(
    mesh: Rig, phone: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kindmesh.node.executor.OVERDUE_MS", 100)
    result = await mesh.desk.run(mesh.id(), "probe.hang", {"text": "a", "wait_ms": 1_500}, within_ms=100)
    assert code(result) == "DEADLINE_EXCEEDED"
    assert phone.executor.running == 0


async def test_files_come_from_their_holder_and_go_to_whom_the_permit_names(mesh: Rig, phone: Node) -> None:
    async with mesh.node("kitchen"):
        made_job = mesh.desk.job(mesh.id(), "probe.make", {"text": "hello"})
        permit = mesh.household.permit(
            target=mesh.id(), operation="probe.make", args=made_job.args, effects=1, job_id=made_job.job_id,
            readers=(mesh.id("kitchen"),), issued_ms=CLOCK.now_ms(), expires_ms=CLOCK.now_ms() + 60_000,
        )  # fmt: skip
        made = await mesh.desk.run(
            mesh.id(), "probe.make", {"text": "hello"}, job_id=made_job.job_id, permit=permit
        )
        [info] = made.artifacts
        assert (info.artifact, info.size_bytes, info.holder) == (sha256(b"hello"), 5, mesh.id())
        assert phone.journal.produced(made.job_id, info.artifact)
        file = value(made)["file"]
        sized = await mesh.desk.run(mesh.id("kitchen"), "probe.size", {"file": file}, sources=(info,))
        assert value(sized) == {"size": 5}
        assert mesh.desk.all("JobAccepted", sized.job_id)[0].state == "accepted"


async def test_a_file_that_its_holder_does_not_give_fails_the_job(mesh: Rig, phone: Node) -> None:
    async with mesh.node("kitchen"):
        info = ArtifactInfo(sha256(b"other"), 5, "text/plain", mesh.id("kitchen"))
        file = {"artifact": info.artifact.hex()}
        result = await mesh.desk.run(mesh.id(), "probe.size", {"file": file}, sources=(info,))
        assert code(result) == "ARTIFACT_MISSING"
        assert result.started_ms == 0


async def test_stop_ends_speech_latches_and_never_ends_an_alert(mesh: Rig, phone: Node) -> None:
    speech = mesh.desk.job(mesh.id(), "speech.say", {"text": "a", "wait_ms": 9_000})
    alert = mesh.desk.job(mesh.id(), "speech.say", {"text": "b", "wait_ms": 300}, priority="emergency")
    other = mesh.desk.job(mesh.id(), "speech.render", {"text": "c", "wait_ms": 300})
    for job in (speech, alert, other):
        mesh.desk.send(mesh.id(), job)
    await mesh.desk.until(lambda: len(mesh.desk.all("JobAccepted")) == 3)
    for _ in range(3):
        mesh.desk.stop(mesh.id(), "enough")
    stopped = await mesh.desk.result(speech.job_id)
    assert (stopped.outcome, code(stopped)) == ("cancelled", "STOPPED")
    assert (await mesh.desk.result(alert.job_id)).outcome == "succeeded"
    assert (await mesh.desk.result(other.job_id)).outcome == "succeeded"
    assert code(await mesh.desk.run(mesh.id(), "speech.say", {"text": "d"})) == "STOPPED"
    [(sender, reason, first_ms, last_ms, times)] = phone.journal.stops()
    assert (sender, reason, times) == (mesh.desk.identity.device_id, "enough", 3)
    assert first_ms <= last_ms


async def test_the_stop_latch_survives_a_restart_until_it_is_reset(mesh: Rig) -> None:
    async with mesh.node() as node:
        mesh.desk.stop(mesh.id())
        await mesh.desk.run(mesh.id(), "device.echo", {"text": "after"})
        assert node.journal.stopped
    async with mesh.node() as node:
        assert node.journal.stopped
        assert code(await mesh.desk.run(mesh.id(), "speech.say", {"text": "d"})) == "STOPPED"
        node.journal.reset()
        assert (await mesh.desk.run(mesh.id(), "speech.say", {"text": "d"})).outcome == "succeeded"


async def test_session_calls_are_answered_without_a_permit_only_where_the_manifest_says_so(
    mesh: Rig, phone: Node
) -> None:
    hub = mesh.desk.hub
    answer = await hub.call(mesh.id(), "device.echo", encode_value({"text": "hi"}), 2_000)
    assert decode_value(answer) == {"text": "hi"}
    for operation, args, expected in (
        ("probe.read", {"text": "a"}, PermitMissing),
        ("device.echo", {"text": 3}, InvalidInput),
        ("device.eco", {"text": "a"}, UnknownOperation),
        ("device.info", {"text": "a" * 5_000}, InvalidInput),
    ):
        with pytest.raises(expected):
            await hub.call(mesh.id(), operation, encode_value(args), 2_000)


@pytest.mark.parametrize(
    ("text", "wait_ms", "timeout_ms", "expected"),
    [
        ("bug", 0, 2_000, CapabilityCrashed),
        ("large", 0, 2_000, InternalError),
        ("slow", 9_000, 100, DeadlineExceeded),
    ],
)
async def test_a_session_call_that_goes_wrong_is_an_answer(
    mesh: Rig, phone: Node, text: str, wait_ms: int, timeout_ms: int, expected: type[Exception]
) -> None:
    args = encode_value({"text": text, "wait_ms": wait_ms})
    with pytest.raises(expected):
        await mesh.desk.hub.call(mesh.id(), "probe.ask", args, timeout_ms)
    assert await mesh.desk.hub.call(mesh.id(), "probe.ask", encode_value({"text": "a"}), 2_000)


async def test_a_running_session_call_ends_with_the_node(mesh: Rig) -> None:
    async with mesh.node() as node:
        args = encode_value({"text": "a", "wait_ms": 9_000})
        call = asyncio.ensure_future(mesh.desk.hub.call(mesh.id(), "probe.ask", args, 9_000))
        await mesh.desk.run(mesh.id(), "device.echo", {"text": "the call came before this"})
        assert node.executor.running == 1
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)


async def test_a_quick_read_may_be_slow_or_fail_all_the_same(mesh: Rig, phone: Node) -> None:
    slow = await mesh.desk.run(mesh.id(), "probe.ask", {"text": "a", "wait_ms": 100})
    assert value(slow) == {"text": "a"}
    assert [body.state for body in mesh.desk.all("JobAccepted", slow.job_id)] == ["running"]
    assert code(await mesh.desk.run(mesh.id(), "probe.ask", {"text": "bug"})) == "CAPABILITY_CRASHED"


async def test_the_heartbeat_says_how_the_device_is(mesh: Rig, phone: Node) -> None:
    beat = await mesh.desk.until(lambda: next(iter(mesh.desk.all("Heartbeat")), None))
    assert beat.facts.disk_free_mib is not None
    assert beat.advert_version == 1


async def test_the_node_does_not_die_of_messages_that_make_no_sense(mesh: Rig, phone: Node) -> None:
    job = mesh.desk.job(mesh.id(), "device.echo", {"text": "a"})
    mesh.desk.cancel(mesh.id(), job)
    mesh.desk.hub.post(
        mesh.id(), MessageType.JOB_RESULT, JobResult(job.job_id, 1, "failed", b"", None, b"", 0, 0)
    )
    assert value(await mesh.desk.run(mesh.id(), "device.echo", {"text": "b"}))
