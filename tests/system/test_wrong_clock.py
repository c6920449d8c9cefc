"""A node whose clock is ten minutes off does its jobs, and everybody who looks is told."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.system.kit import allow, mesh, notes, say

from kindmesh.coordinator.lab.device import Running
from kindmesh.coordinator.lab.mesh import Lab

TEN_MINUTES_MS = 600_000


@asynccontextmanager
async def skewed(lab: Lab, name: str, offset_ms: int) -> AsyncIterator[None]:
    """That device's node, running with a wrong clock."""
    device = lab.devices[name]
    log = device.logs / f"{name}-skewed.log"
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.system.skewed_node", str(device.home.root), str(offset_ms),
            stdout=asyncio.subprocess.PIPE, stderr=errors, cwd=Path(__file__).parents[2],
            env={**os.environ, "KINDMESH_HOME": str(device.home.root), "KINDMESH_MESH_MDNS": "false"},
        )  # fmt: skip
    running = Running(process, log)
    try:
        await running.until("ready")
        await lab.alive(name)
        yield
    finally:
        await running.stop()


@pytest.mark.parametrize("offset_ms", [TEN_MINUTES_MS, -TEN_MINUTES_MS], ids=["ahead", "behind"])
async def test_ten_minutes_off_works_and_is_told(tmp_path: Path, offset_ms: int) -> None:
    async with mesh(tmp_path / "lab") as lab:
        await lab.join("kitchen")
        allow(lab, "notes.append")
        async with skewed(lab, "kitchen", offset_ms):
            said = await say(lab.desk, "call", "notes.append", "text=on time", "--on", "kitchen")
            assert said.code == 0, said
            assert (
                await say(lab.desk, "call", "device.echo", "text=hi", "--on", "kitchen", "--session")
            ).code == 0
            assert notes(lab.devices["kitchen"]) == ["on time"]
            # The one who has the wrong clock can ask, too.
            assert (
                await say(lab.devices["kitchen"], "call", "device.echo", "text=hi", "--on", "desk")
            ).code == 0
            for device in (lab.desk, lab.devices["kitchen"]):
                doctor = await say(device, "doctor")
                told = [one for one in doctor.objects[-1]["findings"] if "clock" in one["message"].lower()]
                off = [one for one in told if one["level"] == "warn"]
                assert off, doctor.objects[-1]
                assert "600 s off" in off[0]["message"] or "599 s off" in off[0]["message"], off
                assert off[0]["hint"]
            nodes = {node["name"]: node for node in lab.ask("nodes")}
            assert "clock" in nodes["kitchen"]["note"]
            assert abs(nodes["kitchen"]["skew_ms"] - offset_ms) < 5_000
            assert abs(nodes["desk"]["skew_ms"]) < 5_000
