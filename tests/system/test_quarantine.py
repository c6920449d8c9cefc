"""A capability whose worker process really dies, again and again: it rests, is named, and is let go on."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from tests.system.kit import ended, mesh, say, soon

LONG = "The quick brown fox jumps over the lazy dog, and comes back the same way. " * 60
WORKER = b"kindmesh.capabilities.worker_main"


def kill_workers_of(node: int) -> None:
    """Kill the worker processes that this node has started."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == node and WORKER in (folder / "cmdline").read_bytes():
                os.kill(int(folder.name), signal.SIGKILL)
        except (OSError, ValueError):
            continue


async def test_a_capability_that_keeps_crashing_is_quarantined_named_and_healed(tmp_path: Path) -> None:
    async with mesh(tmp_path / "lab", "kitchen") as lab:
        wish = {"operation": "speech.render", "args": {"text": LONG}, "target": "kitchen"}
        kitchen = lab.devices["kitchen"]

        def resting() -> bool:
            offers = lab.ask("capabilities")
            return any(
                one["capability"] == "speech" and one["device_name"] == "kitchen" and not one["ready"]
                for one in offers
            )

        async def rests() -> bool:
            return resting()

        node = lab.ask("status", device="kitchen", part="node")["pid"]
        jobs = [lab.ask("submit", {**wish, "key": f"job {number}"})["job"] for number in range(3)]
        async with asyncio.timeout(60):
            while not resting():
                kill_workers_of(node)
                await asyncio.sleep(0.02)
        # Whoever asks now is not refused: it waits for better times, and says why.
        waiting = lab.ask("submit", {**wish, "args": {"text": "Good morning"}})["job"]
        assert lab.ask("job", {"id": waiting})["state"] == "waiting_device"
        # Named everywhere, with what to do.
        findings = lab.ask("doctor")
        said = [one for one in findings if one["check"] == "speech on kitchen"]
        assert "kindmesh heal speech" in said[0]["hint"]
        listed = await say(kitchen, "heal")
        assert listed.objects[0]["resting"][0]["capability"] == "speech"
        hints = [one["hint"] for one in (await say(kitchen, "doctor")).objects[0]["findings"]]
        assert any("kindmesh heal speech" in hint for hint in hints)
        # It outlives the process, and a person lets it go on.
        await kitchen.kill()
        await kitchen.up()
        await lab.alive("kitchen")
        assert await soon(rests, 10.0)
        assert (await say(kitchen, "heal", "nonsense")).code == 2
        assert (await say(kitchen, "heal", "speech")).code == 0

        async def goes_on() -> bool:
            return not resting()

        assert await soon(goes_on, 10.0)
        assert (await ended(lab, waiting))["state"] == "succeeded"
        # What crashed was done anew; what crashed too often had failed, perhaps by its own fault.
        for job in jobs:
            document = await ended(lab, job)
            assert document["state"] == "succeeded" or document["error"]["code"] == "CAPABILITY_CRASHED"
