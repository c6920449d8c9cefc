"""A disk that fills while something is journaled: refused in a sentence, nothing lost, and it goes on with new room.

The kernel's limit on the size of files stands in for the disk: it can be set for one running process, by anybody who
may start it, and taken away again. Writing beyond it fails as it does on a full disk.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.system.kit import PATIENCE_S, allow, ended, mesh, notes, say, talking, until

from kindmesh.coordinator.lab.device import command
from kindmesh.coordinator.lab.mesh import Lab, watching
from kindmesh.mesh.control_async import AsyncControlClient
from kindmesh.protocol.errors import DiskFull, KindmeshError

LINE = "x" * 1_500


@contextmanager
def full(pid: int, journal: Path, room: int = 65_536) -> Iterator[None]:
    """The files of this process cannot grow more than `room` bytes beyond what its journal has now."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    largest = max(path.stat().st_size for path in (journal, journal.with_name(journal.name + "-wal")))
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (largest + room, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))


def wish(number: int) -> dict[str, Any]:
    """A note of a kitchen."""
    return {"operation": "notes.append", "args": {"text": f"{number} {LINE}"}, "target": "kitchen"}


def told(error: dict[str, Any] | KindmeshError) -> None:
    """A full disk, in words."""
    code, message, hint = (
        (error.code, error.message, error.hint)
        if isinstance(error, KindmeshError)
        else (error["code"], error["message"], error["hint"])
    )
    assert code == DiskFull.code, error
    assert "disk is full" in message.lower()
    assert hint


async def until_full(
    client: AsyncControlClient, events: asyncio.Queue[dict[str, Any]], first: int, done: list[int]
) -> asyncio.Future[dict[str, Any]]:
    """Jobs one after the other, from number `first`, until one is refused for want of room, or was done and cannot be
    told for want of room (its future is then not done). The numbers that succeeded before go into `done`."""
    unsaved = asyncio.ensure_future(until(events, lambda event: event["event"] == "unsaved"))
    try:
        for number in range(first, first + 200):
            job: asyncio.Future[dict[str, Any]] = asyncio.ensure_future(
                client.call("submit", {**wish(number), "wait": True})
            )
            await asyncio.wait({job, unsaved}, return_when=asyncio.FIRST_COMPLETED)
            if unsaved.done():
                return job
            if job.result()["state"] != "succeeded":
                told(job.result()["error"])
                return job
            done.append(number)
    finally:
        unsaved.cancel()
        await asyncio.gather(unsaved, return_exceptions=True)
    raise AssertionError("the disk never filled")


async def test_the_disk_of_a_node_fills(tmp_path: Path) -> None:
    async with mesh(tmp_path / "lab", "kitchen") as lab:
        allow(lab, "notes.append")
        kitchen = lab.devices["kitchen"]
        pid = lab.ask("status", device="kitchen", part="node")["pid"]
        written: list[int] = []
        done: list[int] = []
        count = 0
        async with talking(lab.desk) as client, watching(kitchen.home.socket("node")) as events:
            # Where in a job the last page goes depends on the room; what is looked for is after the effect.
            for pages in range(16, 32):
                with full(pid, kitchen.home.node_journal, pages * 4096):
                    job = await until_full(client, events, count, done)
                    count += len(done) + 1
                    if not job.done():
                        # The next one is not begun, and says why; what writes nothing is still answered.
                        refused = await client.call("submit", {**wish(998), "wait": True})
                        assert refused["state"] == "failed"
                        told(refused["error"])
                        call = ("call", "device.echo", "text=hi", "--on", "kitchen", "--session")
                        assert (await say(lab.desk, *call)).code == 0
                        assert not job.done()
                        break
                    written += done
                    done = []
            else:
                raise AssertionError("the disk never filled after an effect")
            # With room again, what was done is told.
            async with asyncio.timeout(PATIENCE_S):
                assert (await job)["state"] == "succeeded"
            after = await client.call("submit", {**wish(999), "wait": True})
            assert after["state"] == "succeeded", after
        numbers = [int(text.split()[0]) for text in notes(kitchen)]
        assert numbers == [*written, *done, count - 1, 999]
        assert lab.ask("status", device="kitchen", part="node")["pid"] == pid


async def fill(client: AsyncControlClient) -> tuple[list[str], KindmeshError]:
    """Submit until it is refused: the ids of the acknowledged jobs, and the refusal."""
    acknowledged: list[str] = []
    for number in range(500):
        try:
            acknowledged.append((await client.call("submit", wish(number)))["job"])
        except KindmeshError as error:
            return acknowledged, error
    raise AssertionError("the disk never filled")


async def test_the_disk_of_the_coordinator_fills(tmp_path: Path) -> None:
    async with mesh(tmp_path / "lab", "kitchen") as lab:
        allow(lab, "notes.append")
        pid = lab.ask("status")["pid"]
        async with talking(lab.desk) as client:
            with full(pid, lab.desk.home.coordinator_journal):
                acknowledged, error = await fill(client)
                told(error)
                said = await say(lab.desk, "call", "notes.append", f"text={LINE}", "--on", "kitchen")
                assert said.code == 1, said
                told(said.error)
                assert (await say(lab.desk, "call", "device.echo", "text=hi", "--session")).code == 0
                assert (await say(lab.desk, "nodes")).code == 0
            # With room again it goes on by itself, and all that was acknowledged is done, once.
            for job in acknowledged:
                found = await ended(lab, job)
                assert found["state"] == "succeeded", found
            assert (await say(lab.desk, "call", "notes.append", "text=after", "--on", "kitchen")).code == 0
        assert lab.ask("status")["pid"] == pid
        counted(lab, acknowledged)


def counted(lab: Lab, acknowledged: list[str]) -> None:
    """As many notes as jobs that were acknowledged, and the one after."""
    written = [text.split()[0] for text in notes(lab.devices["kitchen"])]
    assert sorted(written) == sorted([*(str(number) for number in range(len(acknowledged))), "after"])


@pytest.mark.parametrize("room", [0, 16, 4_096])
async def test_a_start_on_a_full_disk_is_an_answer(tmp_path: Path, room: int) -> None:
    lab = Lab(tmp_path / "lab")
    await lab.device("desk").run("init", "--name", "desk")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        process = await asyncio.create_subprocess_exec(
            *command("up", "--json"), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={**lab.environment, "KINDMESH_HOME": str(lab.desk.home.root), "KINDMESH_MESH_PORT": str(lab.port)},
        )  # fmt: skip
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    async with asyncio.timeout(PATIENCE_S):
        output, errors = await process.communicate()
    assert process.returncode not in (0, None)
    shown = (output + errors).decode()
    assert "disk is full" in shown.lower()
    assert "Free some space" in shown
    assert "Traceback" not in shown
    assert "restarting" not in shown
    # With room it starts.
    await lab.desk.up()
    await lab.end()
