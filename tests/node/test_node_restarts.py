"""What survives: restarts, lost links, full disks, a graceful end."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.node.rig import CLOCK, Rig, rig, value, watching

from kindmesh.node import executor, reporter
from kindmesh.protocol.codec import encode_value


@pytest.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path) as made:
        yield made


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process can grow beyond a kilobyte."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def written(mesh: Rig) -> list[str]:
    path = mesh.home().data / "probe" / "written"
    return path.read_text().splitlines() if path.exists() else []


async def test_a_result_that_was_not_taken_is_sent_again_after_a_restart_and_then_forgotten(
    mesh: Rig,
) -> None:
    mesh.desk.take = False
    async with mesh.node():
        first = await mesh.desk.run(mesh.id(), "probe.write", {"text": "milk"})
    mesh.desk.take = True
    async with mesh.node() as node:
        await mesh.desk.until(lambda: len(mesh.desk.all("result", first.job_id)) == 2)
        assert mesh.desk.all("result", first.job_id)[1] == first
        await mesh.desk.hub.call(mesh.id(), "device.echo", encode_value({"text": "taken by now"}), 2_000)
        assert node.reporter.waiting == 0
        node.reporter.flush()
        assert node.journal.untaken() == []
        assert node.journal.forget(CLOCK.now_ms() + 1) == 1
        assert node.journal.find(first.job_id) is None
    assert written(mesh) == ["milk"]


async def test_a_result_is_sent_again_while_the_coordinator_does_not_take_it(
    mesh: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporter, "AGAIN_S", 0.0)
    mesh.desk.take = False
    async with mesh.node():
        first = await mesh.desk.run(mesh.id(), "device.echo", {"text": "a"})
        await mesh.desk.until(lambda: len(mesh.desk.all("result", first.job_id)) >= 2)


async def test_a_job_that_comes_again_after_a_restart_is_answered_although_its_permit_has_ended(
    mesh: Rig,
) -> None:
    async with mesh.node():
        job = mesh.desk.job(mesh.id(), "probe.write", {"text": "milk"})
        short = mesh.desk.permit(
            mesh.id(), "probe.write", job.args, job.job_id, issued_ms=CLOCK.now_ms() - 150_000,
            expires_ms=CLOCK.now_ms() - 119_500,
        )  # fmt: skip
        job = mesh.desk.job(mesh.id(), "probe.write", {"text": "milk"}, job_id=job.job_id, permit=short)
        mesh.desk.send(mesh.id(), job)
        first = await mesh.desk.result(job.job_id)
        assert first.outcome == "succeeded"
    await asyncio.sleep(0.5)  # the time that the permit has left
    async with mesh.node():
        mesh.desk.send(mesh.id(), job)
        await mesh.desk.until(lambda: len(mesh.desk.all("result", job.job_id)) == 2)
        fresh = mesh.desk.job(mesh.id(), "probe.write", {"text": "milk"}, permit=short)
        mesh.desk.send(mesh.id(), fresh)
        refused = await mesh.desk.result(fresh.job_id)
        assert refused.error is not None
        assert refused.error.code in ("PERMIT_MISMATCH", "PERMIT_EXPIRED")
    assert written(mesh) == ["milk"]


async def test_a_power_cut_in_the_middle_of_an_effect_is_uncertain_and_of_a_read_interrupted(
    mesh: Rig,
) -> None:
    node = mesh.make()
    await node.__aenter__()
    await mesh.desk.until(lambda: mesh.desk.adverts)
    args = {"text": "milk", "wait_ms": 9_000}
    write = mesh.desk.send(mesh.id(), mesh.desk.job(mesh.id(), "probe.write", args))
    read = mesh.desk.send(mesh.id(), mesh.desk.job(mesh.id(), "probe.read", args))
    await mesh.desk.until(lambda: len(mesh.desk.all("JobAccepted")) == 2)
    node.store.abandon()
    await node.__aexit__(None, None, None)
    async with mesh.node():
        assert (await mesh.desk.result(write)).outcome == "uncertain"
        interrupted = await mesh.desk.result(read)
        assert interrupted.outcome == "interrupted"
        again = await mesh.desk.run(mesh.id(), "probe.read", {"text": "milk"}, job_id=read, epoch=2)
        assert value(again) == {"text": "milk"}
        never = await mesh.desk.run(mesh.id(), "probe.write", {"text": "milk"}, job_id=write, epoch=2)
        assert never.outcome == "uncertain"
    assert written(mesh) == ["milk"]


@pytest.mark.parametrize("operation", ["probe.write", "probe.read", "device.echo"])
async def test_a_full_disk_at_intent_refuses_the_job_and_nothing_happens(mesh: Rig, operation: str) -> None:
    async with mesh.node() as node:
        await mesh.desk.run(mesh.id(), "device.echo", {"text": "before"})
        with full_disk():
            result = await mesh.desk.run(mesh.id(), operation, {"text": "milk"})
        assert result.error is not None
        assert result.error.code == "DISK_FULL"
        assert result.error.hint
        assert result.started_ms == 0
        assert written(mesh) == []
        assert node.executor.running == 0
        retried = await mesh.desk.run(mesh.id(), operation, {"text": "milk"}, job_id=result.job_id, epoch=2)
        assert retried.outcome == "succeeded"


async def test_a_full_disk_at_result_keeps_it_and_reports_it_when_there_is_room(
    mesh: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "RETRY_S", 0.02)
    async with mesh.node() as node:
        job = mesh.desk.send(
            mesh.id(), mesh.desk.job(mesh.id(), "probe.write", {"text": "milk", "wait_ms": 150})
        )
        await mesh.desk.until(lambda: mesh.desk.all("JobAccepted", job))
        with full_disk(), watching(node, "unsaved") as unsaved:
            await asyncio.wait_for(unsaved.wait(), 5)
            unsaved.clear()
            await asyncio.wait_for(unsaved.wait(), 5)
            assert not mesh.desk.all("result", job)
        assert (await mesh.desk.result(job)).outcome == "succeeded"
    assert written(mesh) == ["milk"]


async def test_a_result_that_could_not_be_written_before_a_crash_is_uncertain(
    mesh: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "RETRY_S", 0.02)
    node = mesh.make()
    await node.__aenter__()
    await mesh.desk.until(lambda: mesh.desk.adverts)
    job = mesh.desk.send(mesh.id(), mesh.desk.job(mesh.id(), "probe.write", {"text": "milk", "wait_ms": 100}))
    await mesh.desk.until(lambda: mesh.desk.all("JobAccepted", job))
    with full_disk(), watching(node, "unsaved") as unsaved:
        await asyncio.wait_for(unsaved.wait(), 5)
        node.store.abandon()
        await node.__aexit__(None, None, None)
    async with mesh.node():
        assert (await mesh.desk.result(job)).outcome == "uncertain"


async def test_a_graceful_end_lets_short_jobs_finish_and_interrupts_long_ones(
    mesh: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "FINISH_MS", 100)
    async with mesh.node(grace_ms=400) as node:
        jobs = {
            name: mesh.desk.send(mesh.id(), mesh.desk.job(mesh.id(), operation, {"text": name, "wait_ms": wait_ms}))
            for name, operation, wait_ms in (
                ("short", "probe.read", 150), ("long", "probe.read", 9_000), ("effect", "probe.write", 9_000),
            )
        }  # fmt: skip
        await mesh.desk.until(lambda: len(mesh.desk.all("JobAccepted")) == 3)
        draining = asyncio.ensure_future(node.drain())
        await asyncio.sleep(0)
        refused = await mesh.desk.run(mesh.id(), "device.echo", {"text": "too late"})
        assert refused.error is not None
        assert refused.error.code == "BUSY"
        await draining
        outcomes = {name: (await mesh.desk.result(job)).outcome for name, job in jobs.items()}
    assert outcomes == {"short": "succeeded", "long": "interrupted", "effect": "uncertain"}


async def test_a_graceful_end_finishes_what_may_not_be_repeated(mesh: Rig) -> None:
    async with mesh.node(grace_ms=50) as node:
        jobs = {
            name: mesh.desk.send(mesh.id(), mesh.desk.job(mesh.id(), operation, {"text": name, "wait_ms": wait_ms}))
            for name, operation, wait_ms in (("long", "probe.read", 9_000), ("effect", "probe.write", 700))
        }  # fmt: skip
        await mesh.desk.until(lambda: len(mesh.desk.all("JobAccepted")) == 2)
        await node.drain()
        outcomes = {name: (await mesh.desk.result(job)).outcome for name, job in jobs.items()}
    assert outcomes == {"long": "interrupted", "effect": "succeeded"}
    (said,) = mesh.desk.all("Draining")
    assert (said.on, said.grace_ms) == (True, 50)


async def test_a_drained_node_has_nothing_left_to_say(mesh: Rig) -> None:
    async with mesh.node() as node:
        await mesh.desk.run(mesh.id(), "device.echo", {"text": "a"})
        await node.drain()
    async with mesh.node() as node:
        assert node.reporter.waiting == 0
        assert node.executor.open_jobs() == []


async def test_a_job_in_progress_outlives_its_link(mesh: Rig) -> None:
    async with mesh.node() as node:
        job = mesh.desk.send(
            mesh.id(), mesh.desk.job(mesh.id(), "probe.write", {"text": "milk", "wait_ms": 200})
        )
        await mesh.desk.until(lambda: mesh.desk.all("JobAccepted", job))
        mesh.desk.hub.drop(mesh.id())
        assert (await mesh.desk.result(job)).outcome == "succeeded"
        assert node.uplink.connected(mesh.desk.identity.device_id)


async def test_a_node_whose_configuration_disables_a_capability_does_not_offer_it(mesh: Rig) -> None:
    async with mesh.node(disabled=("speech",), capabilities=("device", "speech")):
        [advert] = mesh.desk.adverts
        assert [offer.manifest.capability for offer in advert.offers] == ["device"]
        refused = await mesh.desk.run(mesh.id(), "speech.say", {"text": "a"})
        assert refused.error is not None
        assert refused.error.code == "UNKNOWN_OPERATION"
