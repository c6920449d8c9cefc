"""Pairing and work between devices in separate networks, with mDNS and without: nothing here shares a loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.system.kit import SEEN, say, soon
from tests.system.netns import House, house, why_not

from kindmesh.coordinator.lab.mesh import Lab, watching

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")

PATIENCE_S = 45.0


@asynccontextmanager
async def family(root: Path, *nodes: str, mdns: bool) -> AsyncIterator[tuple[Lab, House]]:
    """A desk and these nodes, each in a namespace of its own; paired, up and alive."""
    with house("desk", *nodes) as networks:
        settings = {"KINDMESH_MESH_LISTEN": "0.0.0.0", "KINDMESH_MESH_PORT": "7437"}
        async with Lab(root, settings=settings, mdns=mdns) as lab:
            SEEN.append(root / "logs")
            desk = lab.device("desk", prefix=networks.prefix("desk"))
            await desk.run("init", "--name", "desk")
            await desk.up()
            for name in nodes:
                device = lab.device(name, prefix=networks.prefix(name))
                await device.join(desk)
                await device.up()
            await lab.alive("desk", *nodes, timeout_s=PATIENCE_S)
            yield lab, networks


async def works(lab: Lab, name: str) -> dict[str, Any]:
    """A job on that device, asked for at the desk."""
    said = await say(lab.desk, "call", "device.echo", "text=hello", "--on", name)
    assert said.code == 0, said
    found: dict[str, Any] = said.objects[-1]
    assert found["device_name"] == name
    return found


async def seen(lab: Lab, name: str, state: str) -> None:
    """Wait until the coordinator calls that device so."""

    def now() -> str:
        nodes: list[dict[str, Any]] = lab.ask("nodes")
        return next(str(node["state"]) for node in nodes if node["name"] == name)

    async with asyncio.timeout(PATIENCE_S), watching(lab.desk.home.socket("coordinator")) as events:
        while now() != state:
            await events.get()


@pytest.mark.parametrize("mdns", [True, False], ids=["mdns", "no-mdns"])
async def test_pairing_work_a_cut_cable_and_removal_between_networks(tmp_path: Path, mdns: bool) -> None:
    async with family(tmp_path / "lab", "kitchen", "phone", mdns=mdns) as (lab, networks):
        await works(lab, "kitchen")
        asked = await say(lab.devices["phone"], "call", "device.echo", "text=there?", "--on", "kitchen")
        assert asked.code == 0, asked
        networks.cut("kitchen")
        await seen(lab, "kitchen", "dead")
        await works(lab, "phone")
        networks.heal("kitchen")
        await seen(lab, "kitchen", "alive")
        await works(lab, "kitchen")
        removed = await say(lab.desk, "revoke", "kitchen")
        assert removed.code == 0, removed
        refused = await say(lab.desk, "call", "device.echo", "text=still there?", "--on", "kitchen")
        assert refused.code != 0
        await works(lab, "phone")


async def test_a_coordinator_that_gets_another_address_while_it_runs_is_found_by_mdns(tmp_path: Path) -> None:
    async with family(tmp_path / "lab", "kitchen", mdns=True) as (lab, networks):
        await works(lab, "kitchen")
        networks.move("desk", 78)

        async def moved() -> bool:
            status: dict[str, Any] = await asyncio.to_thread(lab.ask, "status", device="kitchen", part="node")
            return bool(status["connected"]) and status["coordinator"]["address"] == f"{networks.net}.78:7437"

        assert await soon(moved, PATIENCE_S)
        await lab.alive("kitchen", timeout_s=PATIENCE_S)
        await works(lab, "kitchen")
