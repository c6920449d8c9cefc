"""Devices with a hundred capabilities in a lab: pairs them as `kindmesh join` does, and starts their program."""

from __future__ import annotations

import asyncio
import sys

from kindmesh.coordinator.bench.crowd import crowd_entries
from kindmesh.coordinator.cli.join_commands import knock, offer_summaries
from kindmesh.coordinator.lab.device import Device, Running, started
from kindmesh.coordinator.lab.mesh import Lab
from kindmesh.mesh.clock import SystemEntropy
from kindmesh.mesh.identity import Identity
from kindmesh.protocol.enrol import invitation_from_text


async def join_crowd(lab: Lab, name: str) -> Device:
    """Pair a device that asks to be granted all of these.

    Raises:
        KindmeshError: why it is no member.
    """
    device = lab.device(name)
    device.home.create()
    identity = Identity.create(device.home.identity, SystemEntropy())
    shown: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with started(lab.desk, "pair") as pairing:
        invitation = invitation_from_text((await pairing.until("window"))["text"])
        offers = offer_summaries(crowd_entries())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(knock(device.home, invitation, identity, name, shown.set_result, offers=offers))
            await pairing.until("knock")
            await pairing.write(await shown)
        await pairing.until("paired")
    return device


async def start_crowd(lab: Lab, device: Device) -> None:
    """Start its program, until the coordinator has seen it alive; it stops when the lab ends.

    Raises:
        KindmeshError: it does not come up.
    """
    device.logs.mkdir(parents=True, exist_ok=True)
    log = device.logs / f"{device.name}-crowd.log"
    environment = {
        **lab.environment,
        "KINDMESH_HOME": str(device.home.root),
        "KINDMESH_MESH_MDNS": "false",
        "KINDMESH_NODE_CONCURRENCY": "1100",
    }
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "kindmesh.coordinator.bench.crowd", "--home", str(device.home.root),
            stdout=asyncio.subprocess.PIPE, stderr=errors, env=environment, start_new_session=True,
        )  # fmt: skip
    device.running = Running(process, log)
    await device.running.until("ready")
    await lab.alive(device.name)


__all__ = ["join_crowd", "start_crowd"]
