"""What survives: `kill -9` of the coordinator at every commit, a full disk, restarts in the middle of everything."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from tests.coordinator.heart_kit import Rig, wish

from kindmesh.mesh.durability import LogSync, Outcome
from kindmesh.mesh.sqlite_file import Parameters
from kindmesh.mesh.store import Row, Store
from kindmesh.mesh.virtual import SimulatedClock, run_virtual
from kindmesh.protocol.errors import DiskFull, KindmeshError, StoreError

ROOT = Path(__file__).resolve().parents[2]


def virtual(tmp_path: Path, body: Callable[[Rig], Awaitable[None]], store: type[Store] = Store) -> None:
    async def main() -> None:
        rig = Rig(tmp_path, SimulatedClock(asyncio.get_running_loop()), "phone", "kitchen")
        rig.store_class = store
        await rig.start()
        await body(rig)
        await rig.close()

    run_virtual(main())


def test_a_coordinator_killed_at_any_commit_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    lab = [sys.executable, "-m", "tests.coordinator.heart_crash_lab", str(tmp_path / "lab"), "6", "9"]
    done = subprocess.run(lab, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    stories = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(stories) == 18
    assert sum(end == -9 for story in stories for end in story["lives"]) >= 20
    for story in stories:
        assert story["lives"][-1] == 0, story
        assert story["acknowledged"] == 6, story
        assert (story["lost"], story["two_ends"], story["twice"]) == ([], [], []), story


@pytest.mark.parametrize("operation", ["notes.append", "speech.render"])
def test_a_restart_in_mid_job_asks_the_device_what_became_of_it(tmp_path: Path, operation: str) -> None:
    async def body(rig: Rig) -> None:
        phone = rig.nodes["phone"]
        phone.hold = True
        job_id = await rig.heart.submit(wish(operation, target=phone.device_id))
        await rig.settle()
        await rig.crash()
        phone.finish()
        await rig.start(up=False)
        phone.up()
        assert (await rig.heart.wait(job_id))["state"] == "succeeded"
        assert phone.begun[job_id] == 1
        assert rig.states(job_id).count("succeeded") == 1

    virtual(tmp_path, body)


def test_a_restart_with_the_permit_on_disk_sends_the_very_same_attempt(tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        phone = rig.nodes["phone"]
        phone.deaf = True
        job_id = await rig.heart.submit(wish("notes.append", target=phone.device_id))
        await asyncio.sleep(1)
        await rig.crash()
        phone.deaf = False
        await rig.start(up=False)
        phone.up()
        document = await rig.heart.wait(job_id)
        assert (document["state"], document["attempts"]) == ("succeeded", 1)
        assert len(rig.medulla.asked) == 1

    virtual(tmp_path, body)


def test_after_a_restart_a_harmless_job_moves_when_its_device_stays_away(tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        phone, kitchen = rig.nodes["phone"], rig.nodes["kitchen"]
        phone.hold = kitchen.hold = True
        job_id = await rig.heart.submit(wish("speech.render"))
        await rig.settle()
        other = kitchen if phone.begun else phone
        other.hold = False
        await rig.crash()
        await rig.start(up=False)
        other.up()
        began = rig.clock.now_ms()
        beating = asyncio.ensure_future(other.beating())
        assert (await rig.heart.wait(job_id))["state"] == "succeeded"
        beating.cancel()
        assert rig.clock.now_ms() - began < 8_000
        assert other.begun[job_id] == 1

    virtual(tmp_path, body)


def test_after_a_restart_a_job_that_may_have_begun_stays_with_its_device(tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        phone, kitchen = rig.nodes["phone"], rig.nodes["kitchen"]
        phone.hold = kitchen.hold = True
        job_id = await rig.heart.submit(wish("notes.append", deadline_ms=rig.clock.now_ms() + 30_000))
        await rig.settle()
        other = kitchen if phone.begun else phone
        await rig.crash()
        await rig.start(up=False)
        other.up()
        assert (await rig.heart.wait(job_id))["state"] == "uncertain"
        assert not other.begun

    virtual(tmp_path, body)


def test_a_question_survives_a_restart_and_nobody_is_asked_twice(tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        rig.medulla.answer = lambda request: "ask"
        job_id = await rig.heart.submit(wish("notes.append"))
        await rig.settle()
        await rig.crash()
        await rig.start()
        [asked] = rig.heart.approvals()
        await rig.heart.approve(rig.medulla.yes(asked["request"]))
        await rig.heart.submit(wish())
        assert (await rig.heart.wait(job_id))["state"] == "succeeded"
        assert sum(request.job_id == job_id for request in rig.medulla.asked) == 1

    virtual(tmp_path, body)


def test_a_key_that_was_forgotten_ends_the_open_job_and_says_so(tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        rig.nodes["phone"].hold = rig.nodes["kitchen"].hold = True
        job_id = await rig.heart.submit(wish())
        rig.store.execute("DELETE FROM run_key")
        rig.store.commit_now()
        await rig.crash()
        await rig.start()
        document = await rig.heart.wait(job_id)
        assert document["state"] == "failed"

    virtual(tmp_path, body)


def test_whoever_waits_for_a_job_that_cannot_be_read_any_more_is_told(tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        phone = rig.nodes["phone"]
        phone.hold = True
        job_id = await rig.heart.submit(wish("notes.append", target=phone.device_id))
        await rig.settle()
        waiting = asyncio.ensure_future(rig.heart.wait(job_id))
        await rig.settle()
        rig.store.execute("UPDATE job SET request = x'00'")
        rig.store.commit_now()
        FullDisk.full = True
        phone.finish()
        await rig.settle()
        FullDisk.full = False
        assert (await asyncio.wait_for(waiting, 20))["state"] == "failed"
        assert rig.heart.job(job_id)["state"] == "failed"

    try:
        virtual(tmp_path, body, FullDisk)
    finally:
        FullDisk.full = False


class Unreadable(Store):
    """A disk that can neither be written nor read from time to time."""

    broken = False

    def _engine_commit(self) -> KindmeshError | None:
        return StoreError("the disk is away") if Unreadable.broken else super()._engine_commit()

    def query_one(self, sql: str, params: Parameters = ()) -> Row | None:
        if Unreadable.broken:
            raise StoreError("the disk is away")
        return super().query_one(sql, params)


def test_a_disk_that_can_not_even_be_read_for_a_while_loses_no_open_job(tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        phone = rig.nodes["phone"]
        phone.hold = True
        job_id = await rig.heart.submit(wish("notes.append", target=phone.device_id))
        await rig.settle()
        waiting = asyncio.ensure_future(rig.heart.wait(job_id))
        await rig.settle()
        Unreadable.broken = True
        phone.finish()
        await asyncio.sleep(5)
        Unreadable.broken = False
        await asyncio.sleep(3)
        assert rig.heart.statistics()["open"] == 1
        phone.report()
        assert (await asyncio.wait_for(waiting, 20))["state"] == "succeeded"
        assert phone.begun[job_id] == 1

    try:
        virtual(tmp_path, body, Unreadable)
    finally:
        Unreadable.broken = False


class FullDisk(Store):
    """A disk that is full from time to time."""

    full = False

    def _engine_commit(self) -> KindmeshError | None:
        return DiskFull() if FullDisk.full else super()._engine_commit()


def test_a_full_disk_refuses_new_jobs_and_loses_no_result(tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        phone, kitchen = rig.nodes["phone"], rig.nodes["kitchen"]
        phone.hold = kitchen.hold = True
        ids = [await rig.heart.submit(wish(operation)) for operation in ("notes.append", "speech.render")]
        await rig.settle()
        FullDisk.full = True
        with pytest.raises(DiskFull):
            await rig.heart.submit(wish("notes.append"))
        with pytest.raises(DiskFull):
            await rig.heart.run(wish())
        waiting = [asyncio.ensure_future(rig.heart.wait(job_id)) for job_id in ids]
        phone.finish()
        kitchen.finish()
        await rig.settle()
        assert phone.taken + kitchen.taken == []
        assert rig.heart.statistics()["open"] == 2
        FullDisk.full = False
        phone.report()
        kitchen.report()
        ended: list[dict[str, Any]] = await asyncio.gather(*waiting)
        assert [document["state"] for document in ended] == ["succeeded", "succeeded"]
        assert sum((phone.begun + kitchen.begun).values()) == 2
        await rig.settle()
        assert len(phone.taken + kitchen.taken) == 2

    try:
        virtual(tmp_path, body, FullDisk)
    finally:
        FullDisk.full = False


def test_a_disk_that_stays_full_past_a_deadline_is_tried_now_and_then_and_the_ending_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    def full(_: Store) -> KindmeshError | None:
        nonlocal tries
        tries += 1
        return DiskFull()

    async def body(rig: Rig) -> None:
        phone = rig.nodes["phone"]
        phone.hold = True
        job_id = await rig.heart.submit(wish(target=phone.device_id, deadline_ms=rig.clock.now_ms() + 5_000))
        await rig.settle()
        waiting = asyncio.ensure_future(rig.heart.wait(job_id))
        with monkeypatch.context() as patch:
            patch.setattr(Store, "_engine_commit", full)
            await asyncio.sleep(60)
            assert not waiting.done()
        assert 5 < tries < 200
        assert (await asyncio.wait_for(waiting, 20))["state"] == "expired"

    virtual(tmp_path, body)


class Refusing(Store):
    """A store that refuses single statements from time to time."""

    refuse = ""

    def execute(self, sql: str, params: Parameters = ()) -> int:
        if Refusing.refuse and sql.startswith(Refusing.refuse):
            raise DiskFull()
        return super().execute(sql, params)


def test_a_statement_that_fails_leaves_no_half_job_and_no_half_ending(tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        phone = rig.nodes["phone"]
        Refusing.refuse = "INSERT INTO job"
        with pytest.raises(DiskFull):
            await rig.heart.submit(wish())
        assert rig.heart.jobs() == []
        Refusing.refuse = ""
        phone.hold = True
        job_id = await rig.heart.submit(wish("notes.append", target=phone.device_id))
        await rig.settle()
        Refusing.refuse = "UPDATE job SET state"
        await asyncio.sleep(1)
        phone.finish()
        await rig.settle()
        assert phone.taken == []
        Refusing.refuse = ""
        phone.report()
        assert (await rig.heart.wait(job_id))["state"] == "succeeded"
        assert phone.begun[job_id] == 1
        await rig.settle()
        Refusing.refuse = "UPDATE job SET story"
        phone.taken.clear()
        phone.report()
        await rig.settle()
        assert phone.taken == []
        Refusing.refuse = ""
        phone.report()
        await rig.settle()
        assert phone.taken == [(job_id, 1)]

    try:
        virtual(tmp_path, body, Refusing)
    finally:
        Refusing.refuse = ""


def test_a_device_that_leaves_before_it_is_thanked_is_thanked_when_it_is_back(tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        phone = rig.nodes["phone"]
        phone.hold = True
        job_id = await rig.heart.submit(wish("notes.append", target=phone.device_id))
        await rig.settle()
        phone.finish()
        await asyncio.sleep(0)
        rig.endpoint.up.pop(phone.device_id)
        await rig.settle()
        rig.endpoint.up[phone.device_id] = phone
        phone.report()
        await rig.settle()
        assert phone.taken == [(job_id, 1)]
        assert rig.states(job_id).count("succeeded") == 1

    virtual(tmp_path, body)


class SlowSync(FullDisk):
    """A disk whose syncs take a second each, as an SD card's may; it may be full while one of them runs."""

    def _writable_log(self) -> LogSync:
        return cast("LogSync", _Later(super()._writable_log()))


class _Later:
    """A log that answers `request` a second later."""

    def __init__(self, log: LogSync) -> None:
        self._log = log

    def request(self, waiters: list[Outcome], loop: asyncio.AbstractEventLoop) -> None:
        loop.call_later(1.0, self._log.request, waiters, loop)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


def test_a_sync_says_nothing_of_what_was_written_since_it_began(tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        phone = rig.nodes["phone"]
        phone.hold = True
        first = asyncio.ensure_future(rig.heart.submit(wish("notes.append", target=phone.device_id)))
        await asyncio.sleep(0.5)
        FullDisk.full = True
        second = asyncio.ensure_future(rig.heart.submit(wish("notes.append", target=phone.device_id)))
        with pytest.raises(DiskFull):
            await second
        FullDisk.full = False
        assert not first.done()
        third = asyncio.ensure_future(rig.heart.submit(wish("notes.append", target=phone.device_id)))
        job_id = await first
        assert not third.done()
        assert {job_id, await third} == {row.facts.job_id for row in rig.heart.read._journal.open_jobs()}
        phone.finish()

    try:
        virtual(tmp_path, body, SlowSync)
    finally:
        FullDisk.full = False


def test_who_asks_again_with_the_same_key_is_not_told_before_the_job_is_safe(tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        began = rig.clock.monotonic()
        same = wish("notes.append", key="once")
        first = asyncio.ensure_future(rig.heart.submit(same))
        await asyncio.sleep(0)
        job_id = await rig.heart.submit(same)
        assert rig.clock.monotonic() - began >= 1
        assert await first == job_id
        assert (await rig.heart.wait(job_id))["state"] == "succeeded"

    virtual(tmp_path, body, SlowSync)
