"""A node that was removed from the mesh: told on its live connection, at its next start, and what it still does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.node.rig import CLOCK, Rig, rig, watching

from kindmesh.mesh.control_async import AsyncControlClient
from kindmesh.mesh.removal import check_not_removed, removal, removal_in, removed_ms
from kindmesh.mesh.trust import Trust
from kindmesh.node.process import run
from kindmesh.protocol.errors import Revoked
from kindmesh.protocol.messages import SessionType, TrustUpdate


async def true(found: Callable[[], bool]) -> None:
    """Wait until it is."""
    async with asyncio.timeout(10):
        while not found():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


def remove(mesh: Rig, name: str) -> None:
    mesh.household.revoked.append(mesh.id(name))
    update = TrustUpdate(revocations=(mesh.household.revocations(CLOCK.now_ms()),))
    mesh.desk.hub.tell(mesh.id(name), SessionType.TRUST_UPDATE, update)


async def test_a_removed_device_ends_its_jobs_hangs_up_and_can_still_be_stopped(tmp_path: Path) -> None:
    async with rig(tmp_path) as mesh, mesh.node(control=True) as phone:
        client = await AsyncControlClient.connect(phone.home.socket("node"))
        job = mesh.desk.job(mesh.id(), "probe.read", {"text": "a", "wait_ms": 15_000})
        with watching(phone, "intent") as began:
            mesh.desk.send(mesh.id(), job)
            await asyncio.wait_for(began.wait(), 10)
        with watching(phone, "result") as ended:
            remove(mesh, "phone")
            await asyncio.wait_for(ended.wait(), 10)
        await true(lambda: not phone.uplink.connected(mesh.id("desk")))
        stored = phone.journal.load_result(job.job_id)
        assert stored is not None
        assert stored[1].error is not None
        assert stored[1].error.code == "REVOKED"
        with pytest.raises(Revoked, match="removed from the mesh"):
            await client.call("nodes")
        findings = {one["check"]: one for one in await client.call("doctor")}
        assert "join --fresh" in findings["membership"]["hint"]
        assert "coordinator" not in findings
        told = await client.call("stop", {"reason": "enough"})
        assert told["devices"] == ["phone"]
        assert "removed" in told["note"]
        assert not phone.uplink.connected(mesh.id("desk"))
        await client.close()


async def test_what_a_removed_device_learned_is_on_its_disk_and_it_does_not_start(tmp_path: Path) -> None:
    async with rig(tmp_path) as mesh:
        async with mesh.node() as phone:
            remove(mesh, "phone")
            await true(lambda: phone.leaving.begun)
        home = mesh.home("phone")
        gone = removal_in(home.identity)
        assert gone is not None
        assert "join --fresh" in gone.hint
        with pytest.raises(Revoked):
            run(home, as_json=True, ready_fd=-1)


async def test_a_member_is_not_removed_by_anothers_removal(tmp_path: Path) -> None:
    async with rig(tmp_path) as mesh, mesh.node() as phone:
        mesh.household.revoked.append(mesh.id("kitchen"))
        update = TrustUpdate(revocations=(mesh.household.revocations(CLOCK.now_ms()),))
        before = phone.trust.membership.revoked
        mesh.desk.hub.tell(mesh.id(), SessionType.TRUST_UPDATE, update)
        await true(lambda: phone.trust.membership.revoked != before)
        assert removal(phone.trust) is None
        check_not_removed(phone.trust)
        assert not phone.leaving.begun


def test_the_day_of_a_removal_is_that_of_the_list_that_said_it_first(tmp_path: Path) -> None:
    mesh = Rig(tmp_path)
    trust = Trust.load(mesh.home("phone").identity)
    assert removed_ms(trust) == 0
    mesh.household.revoked.append(mesh.id())
    trust.merge(TrustUpdate(revocations=(mesh.household.revocations(1_700_000_000_000),)))
    assert removed_ms(trust) == 1_700_000_000_000
    with pytest.raises(Revoked, match="2023-11-14 22:13 UTC"):
        check_not_removed(trust)


def test_a_folder_that_cannot_be_read_is_not_called_removed(tmp_path: Path) -> None:
    assert removal_in(tmp_path) is None
