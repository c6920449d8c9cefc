"""`kill -9` in mid-job of the coordinator, of Medulla, of the executing node: what was acknowledged ends exactly once.

Each test kills at a moment that a journal has announced, then counts what is on the disk of the device that acted.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

from tests.system.kit import PATIENCE_S, allow, ended, mesh, notes, say, talking, until

from kindmesh.coordinator.lab.mesh import Lab, watching
from kindmesh.mesh.control_async import AsyncControlClient
from kindmesh.protocol.errors import KindmeshError

COUNT = 24
LONG = "The quick brown fox jumps over the lazy dog, and comes back the same way. " * 120


def texts(word: str) -> list[str]:
    """Notes that differ."""
    return [f"{word} {number}" for number in range(COUNT)]


async def submit(client: AsyncControlClient, text: str) -> str:
    """The id of an acknowledged job, or nothing when it was not acknowledged."""
    wish = {"operation": "notes.append", "args": {"text": text}, "target": "kitchen", "key": text}
    try:
        job = await client.call("submit", wish)
    except KindmeshError:
        return ""
    found: str = job["job"]
    return found


def judge(lab: Lab, written: list[str], jobs: dict[str, dict[str, Any]], *, sure: bool) -> None:
    """Nothing twice; what is said to have happened has; what is not `uncertain` is known. `sure`: no doubt allowed."""
    assert len(written) == len(set(written)), "something was done twice"
    for text, job in jobs.items():
        assert job["state"] in (("succeeded",) if sure else ("succeeded", "uncertain")), job
        if job["state"] == "succeeded":
            assert text in written, job
        else:
            assert job["error"]["code"] == "UNCERTAIN", job
            assert job["error"]["hint"], job
    assert lab.ask("status")["jobs"]["open"] == 0


async def all_ended(lab: Lab, acknowledged: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The documents of these jobs, by text."""
    return {text: await ended(lab, job) for text, job in acknowledged.items() if job}


async def test_the_coordinator_is_killed_while_jobs_run(tmp_path: Path) -> None:
    async with mesh(tmp_path / "lab", "kitchen") as lab:
        allow(lab, "notes.append")
        desk, kitchen = lab.desk, lab.devices["kitchen"]
        assert desk.running is not None
        coordinator = pid_of(lab, "coordinator")
        async with watching(kitchen.home.socket("node")) as events, talking(desk) as client:
            running = asyncio.ensure_future(
                client.call(
                    "submit", {"operation": "speech.render", "args": {"text": LONG}, "target": "kitchen"}
                )
            )
            await until(
                events, lambda event: event["event"] == "intent" and event["operation"] == "speech.render"
            )
            long_job = (await running)["job"]
            submitting = [asyncio.create_task(submit(client, text)) for text in texts("coordinator")]
            await until(
                events, lambda event: event["event"] == "intent" and event["operation"] == "notes.append"
            )
            os.kill(coordinator, signal.SIGKILL)
            acknowledged = dict(zip(texts("coordinator"), await asyncio.gather(*submitting), strict=True))
        # The launcher starts it again by itself; Medulla and the node stay.
        said = await desk.running.until("restarting")
        assert said["part"] == "coordinator"
        await desk.running.until("ready")
        await lab.alive("kitchen")
        spoken = await ended(lab, long_job)
        jobs = await all_ended(lab, acknowledged)
        judge(lab, notes(kitchen), jobs, sure=True)
        assert set(notes(kitchen)) <= set(texts("coordinator"))
        assert spoken["state"] == "succeeded"
        assert [entry["what"] for entry in spoken["timeline"]].count("result") == 1


def pid_of(lab: Lab, part: str) -> int:
    """The process id of a part of the desk, or of the node called so."""
    if part in ("coordinator", "medulla"):
        status = lab.ask("status")
        found: int = status["pid"] if part == "coordinator" else status["medulla"]["pid"]
        return found
    pid: int = lab.ask("status", device=part, part="node")["pid"]
    return pid


async def test_medulla_is_killed_while_jobs_wait_for_it(tmp_path: Path) -> None:
    async with mesh(tmp_path / "lab", "kitchen") as lab:
        allow(lab, "notes.append")
        desk, kitchen = lab.desk, lab.devices["kitchen"]
        assert desk.running is not None
        medulla = pid_of(lab, "medulla")
        async with watching(kitchen.home.socket("node")) as events, talking(desk) as client:
            submitting = [asyncio.create_task(submit(client, text)) for text in texts("medulla")]
            await until(events, lambda event: event["event"] == "intent")
            os.kill(medulla, signal.SIGKILL)
            # Still more, now that nobody can permit anything.
            submitting += [asyncio.create_task(submit(client, f"later {text}")) for text in texts("medulla")]
            acknowledged = await asyncio.gather(*submitting)
        said = await desk.running.until("restarting")
        assert said["part"] == "medulla"
        names = [*texts("medulla"), *(f"later {text}" for text in texts("medulla"))]
        assert all(acknowledged), "the coordinator takes jobs without Medulla, it only does not run them"
        jobs = await all_ended(lab, dict(zip(names, acknowledged, strict=True)))
        judge(lab, notes(kitchen), jobs, sure=True)
        assert sorted(notes(kitchen)) == sorted(names)
        assert pid_of(lab, "medulla") != medulla


async def test_the_executing_node_is_killed_in_mid_job_and_started_again(tmp_path: Path) -> None:
    async with mesh(tmp_path / "lab", "kitchen") as lab:
        allow(lab, "notes.append")
        desk, kitchen = lab.desk, lab.devices["kitchen"]
        async with talking(desk) as client:
            async with watching(kitchen.home.socket("node")) as events:
                submitting = [asyncio.create_task(submit(client, text)) for text in texts("node")]
                await until(events, lambda event: event["event"] == "intent")
                await kitchen.kill()
            acknowledged = dict(zip(texts("node"), await asyncio.gather(*submitting), strict=True))
            assert all(acknowledged.values())
        await kitchen.up()
        await lab.alive("kitchen")
        jobs = await all_ended(lab, acknowledged)
        judge(lab, notes(kitchen), jobs, sure=False)
        # Whatever was not begun when it died was done afterwards.
        assert any(job["state"] == "succeeded" for job in jobs.values())
        assert (await say(desk, "call", "notes.append", "text=after", "--on", "kitchen")).code == 0
        assert notes(kitchen).count("after") == 1


async def test_a_job_that_only_reads_moves_to_another_device(tmp_path: Path) -> None:
    async with mesh(tmp_path / "lab", "kitchen", "phone") as lab:
        async with talking(lab.desk) as client:
            states: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
            wish = {"operation": "speech.render", "args": {"text": LONG}, "wait": True}
            running = asyncio.ensure_future(client.call("submit", wish, on_event=states.put_nowait))
            placed = await until(states, lambda event: event.get("state") == "running")
            victim = placed["device_name"]
            killed_ms = (await client.call("clock"))["now_ms"]
            if victim == "desk":
                os.kill(pid_of(lab, "desk"), signal.SIGKILL)
            else:
                await lab.devices[victim].kill()
            async with asyncio.timeout(PATIENCE_S):
                job = await running
        assert job["state"] == "succeeded"
        assert job["device_name"] != victim
        assert job["attempts"] == 2
        assert len(job["permits"]) == 2
        (moved_ms,) = [entry["at_ms"] for entry in job["timeline"] if entry["what"] == "moved"]
        assert moved_ms - killed_ms <= 5_000
